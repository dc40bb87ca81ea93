"""What a search is of: its name, what decides its values, and what people want to know of it."""

import re

import keras

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
    objective: TrainingObjective | FunctionObjective,
    space: SearchSpace,
    mode: str,
) -> dict:
    """What people want to know of a search, for JSON: names instead of keys.

    Args:
        model: The model with ReLU.
        objective: What is looked for.
        space: The space.
        mode: How spectra are computed.
    """
    found = {
        "model": re.sub(r"_\d+$", "", model.name),
        "parameters": model.count_params(),
        "data": objective.task.data_name,
        "space": next((n for n, make in SPACES.items() if make().hash == space.hash), "space"),
        "schemas": list(space.get_config()["schemas"]),
        "functions": len(space),
        "backend": keras.backend.backend(),
        "measure": objective.measure,
        "mode": objective.criterion.mode,
        "spectra": mode,
    }
    if isinstance(objective, TrainingObjective):
        settings = objective.settings(model)
        keys = ("epochs", "batch_size", "train_examples", "validation_examples")
        found |= {key: settings[key] for key in keys}
        found["recipe"] = objective.recipe and objective.recipe.name
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


def check_moves(moves: int, groups: int) -> None:
    """Raise a ValueError unless `moves` is a number of functions that can join a search."""
    if isinstance(moves, bool) or not isinstance(moves, int) or moves < 0:
        raise ValueError(f"moves is a whole number, 0 or more. Received: {moves!r}.")
    if moves and groups != 1:
        raise ValueError(
            "Local moves change one function, so that a search with them has one group. Received: "
            f"moves={moves} with groups={groups}. Leave one of them out."
        )


def check_limits(evaluations: int | None, minutes: float | None) -> None:
    """Raise a ValueError unless a search has a limit, and limits are positive numbers."""
    for name, value in (("evaluations", evaluations), ("minutes", minutes)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} is a positive number. Received: {value}.")
    if evaluations is None and minutes is None:
        raise ValueError(
            "A search ends after a number of evaluations or of minutes. Received: neither. Pass "
            "run(evaluations=…) or run(minutes=…)."
        )
