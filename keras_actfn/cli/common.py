"""What the commands share: options with several values, models and seeds by name."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from .._names import unknown_name
from .tables import MODELS, TABLE_MODELS, listed

if TYPE_CHECKING:
    import keras

    from ..datasets import Dataset


class Interrupted(Exception):
    """Ends a command as an interrupt does, with a message of its own."""

    exit_code = 130


#: The largest seed that Keras, NumPy and the backends all take.
LARGEST_SEED = 2**32 - 1
#: At most this many seeds in one command.
MOST_SEEDS = 10_000

#: `--json`, for every command.
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help=f"A model of keras_actfn.applications: {listed((*MODELS, *TABLE_MODELS))}. Or "
        "module:function, your own function from an activation to an uncompiled model. Default: "
        "lenet5 for images, mlp for others.",
    ),
]
SeedsOption = Annotated[
    list[str],
    typer.Option(
        "--seeds",
        help="One number n: the seeds 0 to n-1. Several numbers: these seeds. first:end: a range.",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed", min=0, max=LARGEST_SEED, help="Seed of everything that the command draws."
    ),
]
EpochsOption = Annotated[
    int, typer.Option("--epochs", min=1, max=1_000_000, help="Epochs of each training.")
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        max=1_000_000,
        help="Examples per training step. Default: 128, or all of fewer.",
    ),
]
SubsetOption = Annotated[
    int | None,
    typer.Option(
        "--subset",
        min=1,
        max=1_000_000_000,
        help="Train on this many examples, of each class the same share. Default: all.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=1024, help="Processes. Default: one per core."),
]


class ListCommand(typer.core.TyperCommand):
    """A command whose repeatable options also take several values after one mention.

    `--activations relu tanh --epochs 2` reads as
    `--activations relu --activations tanh --epochs 2`. Pass it as `cls` to `app.command`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the values, then parse as usual."""
        options = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, spread_values(args, options))


def spread_values(words: Sequence[str], options: Collection[str]) -> list[str]:
    """Repeat each of `options` before every value that follows it.

    Values end at the next word that begins with `-`; one that begins so itself is given as
    `--option=-value`.

    Args:
        words: Words of a command line.
        options: Names of the options that take several values, such as `--seeds`.

    Returns:
        A new list of words.

    Example:
    ```python
    spread_values(["--seeds", "1", "2"], {"--seeds"})  # ['--seeds', '1', '--seeds', '2']
    ```
    """
    result: list[str] = []
    option, has_value = None, False  # the option whose values are read, if any
    for position, word in enumerate(words):
        if word == "--":
            return [*result, *words[position:]]
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            option, has_value = (name, bool(equals)) if name in options else (None, False)
        elif option is not None:
            if has_value:
                result.append(option)
            has_value = True
        result.append(word)
    return result


def model_name(name: str | None, data: "Dataset") -> str:
    """`--model`, or the default for the data: lenet5 for images, mlp for others."""
    return name or ("lenet5" if data.has_images else "mlp")


def model_builder(
    name: str | None, data: "Dataset", input_shape: tuple[int, ...] | None = None
) -> Callable[[Any], "keras.Model"]:
    """The function from an activation to a new model of `--model` for `data`.

    Models of keras_actfn take examples of `input_shape`, or of the data's shape if None.

    Raises:
        ValueError: If there is no such model, module or function, or it is not for this data.
    """
    name = model_name(name, data)
    if ":" in name:
        own = own_function(name, "--model", "a function of an activation")
        return own if data.problem == "classification" else _regressor(own, data)
    from ..applications import MODELS, TABLE_MODELS

    shape = input_shape or data.input_shape
    if name.lower() in TABLE_MODELS:
        build = TABLE_MODELS[name.lower()]
        if data.problem == "regression":
            return _regressor(
                lambda activation: build(activation, shape, outputs=data.outputs), data
            )
        return lambda activation: build(activation, shape, data.classes)
    if name.lower() not in MODELS:
        raise unknown_name("A model is module:function, or", name, [*MODELS, *TABLE_MODELS])
    if not data.has_images or data.problem == "regression":
        raise ValueError(
            f"{name} sorts images, (height, width, channels), into classes. Received: {data.name} "
            f"for {data.problem} with examples of shape {data.input_shape}. Use --model "
            f"{' or '.join(TABLE_MODELS)}, or module:function for a model of your own."
        )
    build = MODELS[name.lower()]
    return lambda activation: build(
        activation=activation,
        input_shape=shape,
        classes=data.classes,
        data_format="channels_last",
    )


def _regressor(
    build: Callable[[Any], "keras.Model"], data: "Dataset"
) -> Callable[[Any], "keras.Model"]:
    """The same function with its models compiled for a regression, where they are not yet."""
    from ..training import compile_regressor

    def compiled(activation: Any) -> "keras.Model":
        model = build(activation)
        return model if model.compiled else compile_regressor(model, data)

    return compiled


def parse_seeds(words: Sequence[str]) -> list[int]:
    """Seeds from the words after `--seeds`: a count, several numbers, or ranges first:end.

    Raises:
        ValueError: If a word is none of these, there are more than `MOST_SEEDS` seeds, or one is
            not from 0 to `LARGEST_SEED`.
    """
    try:
        if len(words) == 1 and words[0].isdecimal() and int(words[0]) > 0:
            ranges = [range(int(words[0]))]
        else:
            ranges = [_seed_range(word) for word in words]
    except ValueError:
        raise ValueError(
            "Seeds are one number (how many), several numbers (which), or a range first:end. "
            f"Received: {' '.join(words)}."
        ) from None
    count = sum(max(0, r.stop - r.start) for r in ranges)  # `len` overflows
    if count > MOST_SEEDS:
        raise ValueError(
            f"--seeds gives at most {MOST_SEEDS:,} seeds. Received: {' '.join(words)}."
        )
    seeds = [seed for r in ranges for seed in r]
    if not seeds or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        raise ValueError(
            f"--seeds gives one or more seeds from 0 to {LARGEST_SEED}. Received: "
            f"{' '.join(words)}."
        )
    return seeds


def _seed_range(word: str) -> range:
    first, colon, end = word.partition(":")
    return range(int(first), int(end) if colon else int(first) + 1)


def own_function(name: str, option: str, what: str) -> Callable[..., Any]:
    """The function that `module:function` names; modules are found in the current folder too.

    Args:
        name: `module:function`.
        option: The option that names it, for messages.
        what: What the function is, for messages.

    Raises:
        ValueError: If there is no such module or function.
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), function]):
        raise ValueError(
            f"{option} module:function names a module and a function in it, such as "
            f"my_models:build. Received: '{name}'."
        )
    with _importable(os.getcwd()):
        try:
            found = getattr(importlib.import_module(module), function, None)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise ValueError(
                f"{option} module:function names a module that Python finds from here. Received: "
                f"'{name}'; there is no module '{module}'."
            ) from error
    if not callable(found):
        raise ValueError(
            f"{option} module:function names {what}. Received: '{name}'; "
            f"'{module}' has no function '{function}'."
        )
    return found


@contextlib.contextmanager
def _importable(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
