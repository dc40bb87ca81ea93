"""What a search is of: its name, what decides its values, and what people want to know of it."""

import re

import keras

from ..datasets import Dataset
from ..expressions import SPACES, SearchSpace
from ..training.fingerprints import key_of
from .objective import FunctionObjective, TrainingObjective


def study_name(about: dict, record: dict) -> str:
    """A name for a study: of the model, the data and the space, and a key of all that matters.

    The same search has the same name, in Python and on the command line, and searches that
    differ in anything have different ones.

    Args:
        about: From `about`.
        record: What decides the meaning of trials, for JSON.

    Example:
        >>> names = {"model": "lenet5", "data": "digits", "space": "three_node"}
        >>> study_name(names, {"seed": 0})
        'lenet5-digits-three_node-de7d77'
    """
    words = [
        re.sub(r"[^\w.]+", "_", about[part]).strip("_.") for part in ("model", "data", "space")
    ]
    return "-".join([word or "unnamed" for word in words] + [key_of(record)[:6]])


def about(
    model: keras.Model,
    data: object,
    objective: TrainingObjective | FunctionObjective,
    space: SearchSpace,
    mode: str,
) -> dict:
    """What people want to know of a search, for JSON: names instead of keys.

    Args:
        model: The model with ReLU.
        data: What was given as data or objective.
        objective: The objective made of it.
        space: The space.
        mode: How spectra are computed.
    """
    found = {
        "model": re.sub(r"_\d+$", "", model.name),
        "parameters": model.count_params(),
        "data": _data_name(data),
        "space": next((n for n, make in SPACES.items() if make().hash == space.hash), "space"),
        "schemas": list(space.get_config()["schemas"]),
        "functions": len(space),
        "backend": keras.backend.backend(),
        "measure": objective.measure,
        "spectra": mode,
    }
    if isinstance(objective, TrainingObjective):
        settings = objective.settings()
        keys = ("epochs", "batch_size", "training_images", "validation_images")
        found |= {key: settings[key] for key in keys}
        found["recipe"] = objective.setup.recipe.name
    return found


def default_mode(model: keras.Model) -> str:
    """How spectra of a model are computed unless something else is asked for.

    The exact Fisher information of an output with positions, (batch, positions, classes), takes a
    backward pass for each class at each position: minutes a function for a language model. For
    such models labels are sampled instead; see `keras_actfn.fisher.fisher_spectrum`.
    """
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):  # a subclassed model that has not been called
        return "exact"
    return "sampled" if isinstance(shape, tuple) and len(shape) > 2 else "exact"


def _data_name(data):
    if isinstance(data, Dataset):
        return data.name
    return getattr(data, "__name__", type(data).__name__) if callable(data) else "data"
