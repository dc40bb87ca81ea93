"""Models of the papers whose activation is an argument.

Every model is a function that returns an uncompiled `keras.Model` with fresh weights.
`activation` is any specification that `keras_actfn.activation` takes; each place where
the model has its activation (a slot) gets a layer of its own, called `"activation_1"`,
`"activation_2"`, … in the order of the data. Layer names do not depend on what else was
built before, so weights move between two models by name.
"""

from .kerasnet import KerasNet
from .lenet import LeNet5

__all__ = ["MODELS", "KerasNet", "LeNet5"]

#: Every model by the name that the command line takes.
MODELS = {"lenet5": LeNet5, "kerasnet": KerasNet}
