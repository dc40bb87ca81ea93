"""What the commands share: options with several values, models, data and seeds by name."""

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import typer.core

#: `--json`, for every command.
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A model of keras_actfn.applications in small letters (lenet5, kerasnet), or "
        "module:function with your own function from an activation to an uncompiled model.",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="fashion_mnist, digits, or auto: Fashion-MNIST where its files are on this "
        "machine, the digits otherwise.",
    ),
]
DataPathOption = Annotated[
    Path | None,
    typer.Option("--data-path", help="Folder with the data's files; the usual places if left out."),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        help="Resize images to this height and width. Left out, digits become 28×28 and other "
        "data keeps its size.",
    ),
]
SeedsOption = Annotated[
    list[str],
    typer.Option(
        "--seeds",
        help="One number n: the seeds 0 to n-1. Several numbers: those seeds. first:end: a range.",
    ),
]


class ListCommand(typer.core.TyperCommand):
    """A command whose repeatable options also take several values after one mention.

    `--activations relu tanh --epochs 2` reads as
    `--activations relu --activations tanh --epochs 2`. Pass it as `cls` to `app.command`.
    """

    def parse_args(self, ctx, args):
        """Spread the values, then parse as usual."""
        options = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, spread_values(args, options))


def spread_values(words, options):
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
    result, current = [], None
    for position, word in enumerate(words):
        if word == "--":
            return result + words[position:]
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            current = [name, 1 if equals else 0] if name in options else None
            result.append(word)
        else:
            if current and current[1]:
                result.append(current[0])
            if current:
                current[1] += 1
            result.append(word)
    return result


def load_data(name, path=None, image_size=None):
    """The dataset of `--data`, `--data-path` and `--image-size`."""
    from .. import datasets

    if name == "auto":
        name = "fashion_mnist" if datasets.find_fashion_mnist(path) else "digits"
        if name == "digits":
            typer.echo(
                "Fashion-MNIST is not on this machine (apt-get install dataset-fashion-mnist); "
                "using scikit-learn's digits.",
                err=True,
            )
            path = None
    if image_size is None and name == "digits":
        image_size = 28
    return datasets.load(name, path, image_size=image_size)


def model_builder(name, data, input_shape=None):
    """The function from an activation to a new model of `--model` for `data`.

    Models of keras_actfn take images of `input_shape`, or as large as the data's if None.
    """
    if ":" in name:
        return _own_builder(name)
    from ..applications import MODELS

    if name.lower() not in MODELS:
        raise ValueError(
            f"A model is one of {', '.join(MODELS)}, or module:function. Received: '{name}'."
        )
    build = MODELS[name.lower()]
    return lambda activation: build(
        activation=activation,
        input_shape=input_shape or data.input_shape,
        classes=data.classes,
        data_format="channels_last",
    )


def parse_seeds(words):
    """Seeds from the words after `--seeds`: a count, several numbers, or ranges first:end."""
    try:
        if len(words) == 1 and words[0].isdecimal() and int(words[0]) > 0:
            return list(range(int(words[0])))
        seeds = []
        for word in words:
            first, colon, end = word.partition(":")
            seeds += range(int(first), int(end)) if colon else [int(first)]
        return seeds
    except ValueError:
        raise ValueError(
            "Seeds are one number (how many), several numbers (which), or a range first:end. "
            f"Received: {' '.join(words)}."
        ) from None


def _own_builder(name):
    """The function that `module:function` names; modules are found in the current folder too."""
    module, _, function = name.partition(":")
    with _importable(os.getcwd()):
        try:
            found = getattr(importlib.import_module(module), function, None)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise ValueError(
                f"--model module:function names a module that Python finds from here. Received: "
                f"'{name}'; there is no module '{module}'."
            ) from error
    if not callable(found):
        raise ValueError(
            f"--model module:function names a function of an activation. Received: '{name}'; "
            f"'{module}' has no function '{function}'."
        )
    return found


@contextlib.contextmanager
def _importable(folder):
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
