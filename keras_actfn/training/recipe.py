"""How a network is trained: optimisers, augmentation and what is done to images.

A recipe holds no state. Its functions make a new optimiser and new augmentation layers
for every model. Images come in [0, 1]; the last layer of the model gives probabilities.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras

from .parameter_groups import parameter_groups


def no_augmentation() -> list:
    """No layers: images are seen as they are."""
    return []


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One way to train.

    Attributes:
        name: The name that `get` and the command line take.
        optimizer: Function that makes a new optimiser: of no arguments, or, if `scheduled`,
            of the steps in an epoch and the number of epochs.
        augmentation: Function without arguments that makes a list of new layers, put in
            front of the model while it trains; they see images with the channels last.
        source: Where the choices come from.
        scheduled: Whether the optimisers depend on how long training is.
        activation_optimizer: As `optimizer`, for the activations' own parameters; None
            trains them like the weights.
        bias_optimizer: As `optimizer`, for the layers' biases; None trains them like the
            weights.
        batch_augmentation: Function of a seed, as `AugmentedBatches` takes it, for what
            changes images and labels together; None for nothing.
        standardize: Whether images are standardised by the training images' mean and
            standard deviation in each channel.
        subtract_mean: Whether images are put on the scale from 0 to 255, less the training
            images' mean in each channel.
        crop: Height and width of what the model sees, as a part of the images': in training
            a random part of the model's size, otherwise the middle. None for all of them.
        autoinit: Whether weights start by AutoInit.
        epochs: The source's number of epochs, for people to read.
        batch_size: The source's batch size, for people to read.
    """

    name: str
    optimizer: Callable
    augmentation: Callable = no_augmentation
    source: str = ""
    scheduled: bool = False
    activation_optimizer: Callable | None = None
    bias_optimizer: Callable | None = None
    batch_augmentation: Callable | None = None
    standardize: bool = False
    subtract_mean: bool = False
    crop: float | None = None
    autoinit: bool = False
    epochs: int | None = None
    batch_size: int | None = None

    def optimizers(self, steps_per_epoch: int, epochs: int) -> tuple:
        """New optimisers of weights, activations' parameters and biases (None: as weights)."""
        arguments = (steps_per_epoch, epochs) if self.scheduled else ()
        groups = (self.optimizer, self.activation_optimizer, self.bias_optimizer)
        return tuple(None if make is None else make(*arguments) for make in groups)

    def optimizer_for(
        self, model: keras.Model, steps_per_epoch: int, epochs: int
    ) -> keras.Optimizer:
        """A new optimiser for a model, with `parameter_groups` where the recipe has several."""
        weights, activations, biases = self.optimizers(steps_per_epoch, epochs)
        return parameter_groups(model, weights, activations, bias_optimizer=biases)

    def model_shape(self, image_shape: Sequence[int]) -> tuple[int, ...]:
        """The input shape of a model for images `(height, width, channels)`."""
        if self.crop is None:
            return tuple(image_shape)
        return (*(round(self.crop * side) for side in image_shape[:2]), image_shape[2])
