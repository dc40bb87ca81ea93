"""How a network is trained: optimiser and augmentation, by name.

A recipe holds no state. Its functions make a new optimiser and new augmentation layers
for every model. Images come in [0, 1]; the last layer of the model gives probabilities.
"""

import dataclasses
import difflib
from collections.abc import Callable

import keras
from keras import layers


def no_augmentation():
    """No layers: images are seen as they are."""
    return []


def flips_and_shifts():
    """Random horizontal flips, and shifts by up to a tenth of the image in each direction.

    The range and the filling of the border with its nearest pixel are those of the Keras
    example that KerasNet comes from; the paper does not state them.
    """
    return [
        layers.RandomFlip("horizontal", data_format="channels_last"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", data_format="channels_last"),
    ]


def adam():
    """Adam with Keras's defaults (learning rate 1e-3)."""
    return keras.optimizers.Adam(1e-3)


def hull_rmsprop():
    """RMSprop at 1e-4 / (1 + 1e-6 · updates)."""
    return keras.optimizers.RMSprop(
        keras.optimizers.schedules.InverseTimeDecay(1e-4, decay_steps=1, decay_rate=1e-6)
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One way to train.

    Attributes:
        name: The name that `get` and the command line take.
        optimizer: Function without arguments that makes a new optimiser.
        augmentation: Function without arguments that makes a list of new layers, put in
            front of the model while it trains; they see images with the channels last.
        source: Where the choices come from.
    """

    name: str
    optimizer: Callable
    augmentation: Callable = no_augmentation
    source: str = ""


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
    )
}


def get(recipe):
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
        near = difflib.get_close_matches(str(recipe), RECIPES)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(
            f"A recipe's name is one of: {', '.join(RECIPES)}. Received: '{recipe}'.{hint}"
        )
    return RECIPES[recipe]
