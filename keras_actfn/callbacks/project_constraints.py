"""Constraints on weights that Keras writes after it has applied the constraints."""

import keras


class ProjectConstraints(keras.callbacks.Callback):
    """Applies every constraint of a model once more where averaged weights are written.

    An optimizer with `use_ema=True` averages the weights of each step before it applies their
    constraints, and replaces the weights by the averages at the end of `fit`. The averages of
    hull coefficients are then off the simplex, or do not sum to one. This callback projects the
    weights at the end of every epoch and of `fit`, and before an evaluation or a prediction, so
    that it also mends what `keras.callbacks.SwapEMAWeights` puts into the model. Give it behind
    that one. Without averages it changes nothing.

    Example:
    ```python
    optimizer = keras.optimizers.Adam(use_ema=True)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, y, callbacks=[keras_actfn.callbacks.ProjectConstraints()])
    ```
    """

    def project(self) -> None:
        """Replace each weight that has a constraint by its projection."""
        for variable in self.model.trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Project."""
        self.project()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Project."""
        self.project()

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Project."""
        self.project()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Project; Keras has written the averages just before."""
        self.project()
