"""The papers' recipes by name."""

import keras
from keras import layers

from .._names import unknown_name
from .augmentation import RandomPaddedCrop, RandomResizedCrop
from .optimizers import CoupledSGD
from .recipe import Recipe
from .schedules import LinearWarmUpAndDecay


def flips_and_shifts() -> list:
    """Random horizontal flips, and shifts by up to a tenth of the image in each direction.

    The range and the filling of the border with its nearest pixel are those of the Keras
    example that KerasNet comes from; the paper does not state them.
    """
    return [
        layers.RandomFlip("horizontal", data_format="channels_last"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", data_format="channels_last"),
    ]


def adam() -> keras.Optimizer:
    """Adam with Keras's defaults (learning rate 1e-3)."""
    return keras.optimizers.Adam(1e-3)


def hull_rmsprop() -> keras.Optimizer:
    """RMSprop at 1e-4 / (1 + 1e-6 · updates)."""
    return keras.optimizers.RMSprop(
        keras.optimizers.schedules.InverseTimeDecay(1e-4, decay_steps=1, decay_rate=1e-6)
    )


def flips() -> list:
    """Random horizontal flips."""
    return [layers.RandomFlip("horizontal", data_format="channels_last")]


def alexnet_sgd(
    steps_per_epoch: int, epochs: int, scale: float = 1.0, l2: float = 5e-4
) -> keras.Optimizer:
    """SGD at 0.01 · scale, momentum 0.9, decay in the gradient; a tenth of the rate each 2/9.

    The paper gives rate, momentum, decay 5e-4 and "step-wise" decay of the rate. The steps are
    those of `bvlc_alexnet`, the Caffe network that it ports: ×0.1 every 100,000 of 450,000.
    """
    every = max(1, round(steps_per_epoch * epochs * 100 / 450))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01 * scale, every, 0.1, staircase=True)
    return CoupledSGD(schedule, momentum=0.9, l2=l2)


def alexnet_bias_sgd(steps_per_epoch: int, epochs: int) -> keras.Optimizer:
    """The same at twice the rate and without decay, as Caffe's biases."""
    return alexnet_sgd(steps_per_epoch, epochs, scale=2.0, l2=0.0)


def alexnet_activation_sgd(steps_per_epoch: int, epochs: int) -> keras.Optimizer:
    """The same at the weights' rate, without decay; the paper says nothing of them."""
    return alexnet_sgd(steps_per_epoch, epochs, l2=0.0)


def flips_and_crops(padding: int = 4) -> list:
    """Random horizontal flips, and crops of the image padded with zeros."""
    return [
        layers.RandomFlip("horizontal", data_format="channels_last"),
        RandomPaddedCrop(padding),
    ]


def flips_and_wide_crops() -> list:
    """As `flips_and_crops`, with five pixels of padding."""
    return flips_and_crops(5)


def resized_crops() -> list:
    """Random resized crops of at least 8 %, flips; the middle 95 % outside training."""
    return [
        RandomResizedCrop(0.08, evaluation=0.95),
        layers.RandomFlip("horizontal", data_format="channels_last"),
    ]


def randaugment_and_mixing(seed: int) -> list:
    """RandAugment of magnitude 6 applied twice, then mixup 0.1 or cutmix 1.0 for each batch."""
    # Keras's strength is from 0 to 1, the paper's magnitude from 0 to 10; what a strength means
    # for each operation (degrees, contrast, …) is Keras's.
    augment = layers.RandAugment((0, 1), 2, 0.6, seed=seed, data_format="channels_last")
    return [
        [augment],
        [
            layers.MixUp(0.1, seed=seed + 1, data_format="channels_last"),
            layers.CutMix((1.0, 1.0), seed=seed + 2, data_format="channels_last"),
        ],
    ]


def activation_adam() -> keras.Optimizer:
    """Adam at 1e-2, for the activations of the correlation paper."""
    return keras.optimizers.Adam(1e-2)


def crrelu_adamw(steps_per_epoch: int, epochs: int, weight_decay: float = 0.05) -> keras.Optimizer:
    """AdamW, 20 epochs from 1e-6 to 2.5e-4 (a fifth of fewer than 100), cosine to 1e-5."""
    return keras.optimizers.AdamW(
        _cosine(1e-6, 2.5e-4, 1e-5, min(20, epochs / 5), steps_per_epoch, epochs),
        weight_decay=weight_decay,
        global_clipnorm=1.0,
    )


def crrelu_activation_adamw(steps_per_epoch: int, epochs: int) -> keras.Optimizer:
    """The same without weight decay."""
    return crrelu_adamw(steps_per_epoch, epochs, weight_decay=0.0)


def aquasurf_sgd(steps_per_epoch: int, epochs: int, weight_decay: float = 1e-4) -> keras.Optimizer:
    """SGD, momentum 0.9, five epochs (a fifth of fewer than 25) to 0.1, then linearly to 0.

    The weight decay is Keras's: each step takes rate · decay of the weights, besides the
    momentum.
    """
    total = steps_per_epoch * epochs
    warmup = min(int(min(5, epochs / 5) * steps_per_epoch), total - 1)
    schedule = LinearWarmUpAndDecay(0.1, warmup, total)
    return keras.optimizers.SGD(schedule, momentum=0.9, weight_decay=weight_decay)


def aquasurf_activation_sgd(steps_per_epoch: int, epochs: int) -> keras.Optimizer:
    """The same without weight decay."""
    return aquasurf_sgd(steps_per_epoch, epochs, weight_decay=0.0)


def _aquasurf_adamw(peak, end):
    """AdamW, 5 of 105 epochs from 1e-4 to `peak`, cosine to `end`, decay 0.02 · rate."""

    def optimizer(steps_per_epoch, epochs, weight_decay=0.02):
        warmup = min(5, epochs * 5 / 105)
        schedule = _cosine(1e-4, peak, end, warmup, steps_per_epoch, epochs)
        return keras.optimizers.AdamW(schedule, weight_decay=weight_decay)

    return optimizer


def _without_decay(optimizer):
    return lambda steps_per_epoch, epochs: optimizer(steps_per_epoch, epochs, weight_decay=0.0)


def _cosine(start, peak, end, warmup, steps_per_epoch, epochs):
    """From `start` to `peak` in `warmup` epochs, then by a cosine to `end` in the last."""
    warmup_steps = int(warmup * steps_per_epoch)
    return keras.optimizers.schedules.CosineDecay(
        start,
        max(1, steps_per_epoch * epochs - warmup_steps),
        alpha=end / peak,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


_AQUASURF = "Bingham and Miikkulainen, Efficient Activation Function Optimization, Table "


def _aquasurf_160(name, peak, end, autoinit=False):
    optimizer = _aquasurf_adamw(peak, end)
    return Recipe(
        name,
        optimizer,
        resized_crops,
        source=f"{_AQUASURF}6",
        scheduled=True,
        activation_optimizer=_without_decay(optimizer),
        batch_augmentation=randaugment_and_mixing,
        autoinit=autoinit,
        epochs=105,
        batch_size=256,
    )


def _aquasurf_cifar(name, augmentation, standardize):
    return Recipe(
        name,
        aquasurf_sgd,
        augmentation,
        source=f"{_AQUASURF}5",
        scheduled=True,
        activation_optimizer=aquasurf_activation_sgd,
        standardize=standardize,
        autoinit=True,
        epochs=50,
        batch_size=128,
    )


#: Every recipe by its name.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("adam", adam, source="Keras's defaults"),
        Recipe(
            "hull",
            hull_rmsprop,
            flips_and_shifts,
            source="Manessi and Rozza, Learning Combinations of Activation Functions, section IV",
        ),
        Recipe(
            "hull_alexnet",
            alexnet_sgd,
            flips,
            source="Manessi and Rozza, section IV, and the Caffe network bvlc_alexnet",
            scheduled=True,
            activation_optimizer=alexnet_activation_sgd,
            bias_optimizer=alexnet_bias_sgd,
            subtract_mean=True,  # images from 0 to 255, for AlexNet's small initial weights
            crop=227 / 256,
            epochs=90,
            batch_size=256,
        ),
        Recipe(
            "correlation",
            adam,
            flips_and_crops,
            source="The correlation paper's training section",
            activation_optimizer=activation_adam,
            epochs=20,
            batch_size=256,
        ),
        Recipe(
            "crrelu_vision",
            crrelu_adamw,
            flips_and_crops,
            source="The EAFO and CRReLU paper, Tables of Appendix on image classification",
            scheduled=True,
            activation_optimizer=crrelu_activation_adamw,
            epochs=100,
            batch_size=256,
        ),
        _aquasurf_cifar("aquasurf_cifar", flips_and_crops, standardize=True),
        _aquasurf_cifar("aquasurf_cifar_resnet", flips_and_wide_crops, standardize=False),
        _aquasurf_160("aquasurf_160", 4e-3, 1e-6),
        _aquasurf_160("aquasurf_160_resnet50", 2e-3, 1e-6, autoinit=True),
        _aquasurf_160("aquasurf_160_coatnet", 4e-4, 1.6e-7),
    )
}


def get(recipe: str | Recipe | None) -> Recipe:
    """The recipe that `recipe` names.

    Args:
        recipe: A name of `RECIPES`, a `Recipe`, or None for `"adam"`.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If there is no recipe of that name.
    """
    if recipe is None:
        return RECIPES["adam"]
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise unknown_name("A recipe's name", recipe, RECIPES)
    return RECIPES[recipe]
