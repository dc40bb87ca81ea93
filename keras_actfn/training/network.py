"""The models that a comparison trains, and where each run starts."""

import keras

from .shared_start import seeds_drawn_from, set_state, state_of, with_shared_start

#: The activation of the model that gives a seed its weights: one without weights.
REFERENCE = "relu"


class Reference:
    """The start of each seed, made when it is first needed.

    Args:
        build_model: `compare`'s.
        recipe: A `Recipe`.
    """

    def __init__(self, build_model, recipe):
        self._build = lambda: _with_augmentation(build_model(REFERENCE), recipe)
        self._states = {}

    def state(self, seed):
        """The start of `seed`, as `state_of` gives it."""
        if seed not in self._states:
            with seeds_drawn_from(seed):
                self._states[seed] = state_of(self._build())
        return self._states[seed]


class Network:
    """One activation's model with its training step, set back for every seed.

    Args:
        label: The activation's label.
        activation: What the builder takes.
        build_model: `compare`'s.
        recipe: A `Recipe`.

    Attributes:
        model: What the builder made.
        trained: The same with the recipe's augmentation in front; compiled.
    """

    def __init__(self, label, activation, build_model, recipe):
        self.label = label
        self._build = lambda: build_model(activation)
        self._recipe = recipe
        self.model = None
        self.trained = None
        self._optimizer_start = None

    def start_from(self, seed, reference):
        """Set weights, random states and optimiser to the start of `seed`."""
        with seeds_drawn_from(seed):
            model = self._build()
            trained = _with_augmentation(model, self._recipe)
        start = with_shared_start(state_of(trained), reference.state(seed))
        if self.trained is None:
            self.model, self.trained = model, trained
            trained.compile(
                optimizer=self._recipe.optimizer(),
                loss="sparse_categorical_crossentropy",
                metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            )
            trained.optimizer.build(trained.trainable_variables)
            self._optimizer_start = state_of(trained.optimizer)
        else:
            set_state(self.trained.optimizer, self._optimizer_start)
        set_state(self.trained, start)

    def measure(self, x, y):
        """Loss and accuracy on all of (x, y), in batches of one size where there is one."""
        sizes = [size for size in range(min(len(x), 1000), 249, -1) if len(x) % size == 0]
        measured = self.trained.evaluate(
            x,
            y,
            batch_size=sizes[0] if sizes else min(len(x), 1000),
            verbose=0,
            return_dict=True,
        )
        return {name: float(value) for name, value in measured.items()}


def _with_augmentation(model, recipe):
    """The model that is trained: the recipe's augmentation, which only training applies."""
    augmentation = recipe.augmentation()
    if not augmentation:
        return model
    return keras.Sequential([keras.Input(model.input_shape[1:]), *augmentation, model])
