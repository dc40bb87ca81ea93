"""The functions of `keras_actfn.backend` on torch."""
