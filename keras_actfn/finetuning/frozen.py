"""A Keras model that trains one of its models and leaves the others as they are."""

import keras


class TrainsOneModel(keras.Model):
    """Base of models whose optimiser sees the variables of one model only.

    The others need not be marked as not trainable, which would change the caller's models.

    Args:
        trained: The model to train.
        frozen: The model that must not change.
        **kwargs: `keras.Model`'s.

    Raises:
        ValueError: If both share variables.
    """

    def __init__(self, trained, frozen, **kwargs):
        super().__init__(**kwargs)
        shared = {id(v) for v in trained.variables} & {id(v) for v in frozen.variables}
        if shared:
            raise ValueError(
                f"{type(self).__name__}: the model that stays as it is shares no variables with "
                f"the trained one. Received: '{frozen.name}' and '{trained.name}', which share "
                f"{len(shared)}. Copy it with keras.models.clone_model and set_weights."
            )
        self._trained = trained

    @property
    def trainable_variables(self):
        """Those of the trained model."""
        return self._trained.trainable_variables

    @property
    def non_trainable_variables(self):
        """All others."""
        trainable = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trainable]

    @property
    def trainable_weights(self):
        """Those of the trained model."""
        return self._trained.trainable_weights

    @property
    def non_trainable_weights(self):
        """All others."""
        trainable = {id(variable) for variable in self.trainable_weights}
        return [variable for variable in self.weights if id(variable) not in trainable]
