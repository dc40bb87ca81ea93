"""The options that say what a command's data is, and the data."""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .tables import DATASETS, listed

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ..datasets import Dataset


@dataclasses.dataclass(frozen=True)
class DataChoice:
    """What the command line says about the data; each field is an option."""

    data: Annotated[
        str,
        typer.Option(
            "--data",
            help=f"A dataset: {listed(DATASETS)}. Or a path of your own data: an .npz file with "
            "x_train, y_train, x_test and y_test, a folder of images with one folder a class, or a "
            "CSV or Parquet file with --target. Or auto: Fashion-MNIST where its files are on this "
            "machine, else the digits.",
        ),
    ] = "auto"
    data_path: Annotated[
        Path | None,
        typer.Option(
            "--data-path", help="Folder with a named dataset's files. Default: the usual places."
        ),
    ] = None
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=1,
            max=4096,
            help="Resize images to this height and width. Default: 28 for the digits; others "
            "keep their size.",
        ),
    ] = None
    colors: Annotated[
        str | None,
        typer.Option(
            "--colors",
            help="Convert a folder's images: grey, rgb or rgba. Default: as all of them are.",
        ),
    ] = None
    target: Annotated[
        str | None, typer.Option("--target", help="Table: the column that is to be predicted.")
    ] = None
    drop: Annotated[
        list[str] | None, typer.Option("--drop", help="Table: a column to leave out. Repeatable.")
    ] = None
    regression: Annotated[
        bool | None,
        typer.Option(
            "--regression/--classification",
            help="Your own data: whether whole numbers as labels are numbers or classes. Default: "
            "0, 1, 2, … are classes, many others are numbers.",
            show_default=False,
        ),
    ] = None
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing",
            help="Table: refuse or impute empty cells of features. impute: the training rows' "
            "median and a feature that marks it, or a category of its own. Default: refuse.",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            help="CSV file: what separates its columns. Default: a comma, tabs in .tsv.",
        ),
    ] = None
    test_share: Annotated[
        float | None,
        typer.Option(
            "--test-share",
            min=0.001,
            max=0.999,
            help="Folder that is not split, and table: the share for testing. Default: 0.2.",
        ),
    ] = None
    split_seed: Annotated[
        int | None,
        typer.Option("--split-seed", min=0, max=2**32 - 1, help="Seed of that split. Default: 0."),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether the command line says anything about the data."""
        return self != DataChoice()

    def load(self) -> "Dataset":
        """The dataset.

        Raises:
            FileNotFoundError: If there is nothing at the path.
            ValueError: If the name is unknown, an option is not for this kind of data, the data is
                not what it should be, or `auto` finds no Fashion-MNIST in the given folder.
        """
        from .. import datasets

        name, options = self.data, self._options()
        if name == "auto":
            name = self._found_name()
        if name == "digits":
            options.setdefault("image_size", 28)
        return datasets.load(name, self.data_path, **options)

    def inputs(self, part: str) -> "tuple[np.ndarray, np.ndarray | None]":
        """Examples and targets of a part; of an npz file without parts what it has.

        Args:
            part: `"train"` or `"test"`.

        Raises:
            FileNotFoundError: If there is nothing at the path.
            ValueError: As `load`.
        """
        from ..datasets import DATASETS, npz, sources

        path = Path(self.data).expanduser()
        alone = self.data not in DATASETS and path.suffix.lower() == ".npz" and path.is_file()
        if alone and not npz.has_parts(path):
            options = self._options()
            sources.check_options(f"{path}, inputs without a test part,", npz.read_inputs, options)
            return npz.read_inputs(path, **options)
        found = self.load()
        return getattr(found, f"x_{part}"), getattr(found, f"y_{part}")

    def to_dict(self) -> dict[str, Any]:
        """The options for JSON, with which another process finds the same data on this machine.

        A path is absolute; where a named dataset's files are is left out.
        """
        from ..datasets import DATASETS, looks_like_a_path

        found = dataclasses.asdict(self)
        del found["data_path"]
        if self.data not in ("auto", *DATASETS) and looks_like_a_path(self.data):
            found["data"] = str(Path(self.data).expanduser().absolute())
        return found

    @classmethod
    def from_dict(cls, stored: Any, data_path: Path | None = None) -> "DataChoice":
        """The choice that `to_dict` stored.

        Args:
            stored: Its result, from wherever it was read.
            data_path: Where the data is on this machine: the files of a named dataset, or what
                is read instead of a path.

        Raises:
            ValueError: If the stored options have other names or types.
        """
        kinds = {name: kind for name, kind in _kinds().items() if name != "data_path"}
        wrong = not isinstance(stored, dict) or set(stored) != set(kinds)
        if wrong or not all(_is(stored[name], kind) for name, kind in kinds.items()):
            raise ValueError(
                f"The options of data are {', '.join(kinds)}. Received: {stored!r}. Begin the "
                "search again."
            )
        from ..datasets import DATASETS

        choice = cls(**stored)
        if data_path is None or choice.data in ("auto", *DATASETS):
            return dataclasses.replace(choice, data_path=data_path)
        return dataclasses.replace(choice, data=str(data_path))

    def _options(self) -> dict[str, Any]:
        """What is given beside the name, by the names of the functions that read data."""
        problem = None if self.regression is None else self.regression and "regression"
        given = {
            "image_size": self.image_size,
            "colors": self.colors,
            "target": self.target,
            "drop": self.drop or None,
            "problem": "classification" if problem is False else problem,
            "missing": self.missing,
            "delimiter": self.delimiter,
            "test": self.test_share,
            "seed": self.split_seed,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _found_name(self) -> str:
        """What `auto` is here."""
        from .. import datasets

        found = datasets.find_fashion_mnist(self.data_path)
        if self.data_path is not None and not found:
            raise ValueError(
                "--data auto reads Fashion-MNIST from --data-path, and its files are not in "
                f"{self.data_path}. Name the dataset, --data {listed(DATASETS)}, or leave "
                "--data-path out."
            )
        if not found:
            typer.echo(
                "Fashion-MNIST is not on this machine (apt-get install dataset-fashion-mnist); "
                "using scikit-learn's digits.",
                err=True,
            )
        return "fashion_mnist" if found else "digits"


def model_samples(
    choice: DataChoice, model: "keras.Model", count: int, part: str = "train"
) -> "tuple[np.ndarray, np.ndarray | None]":
    """The first examples of the data as a model takes them, and their targets.

    The data is read as for a training. An npz file need not have all the parts of one: inputs
    alone will do, `x` or `x_train`.

    Args:
        choice: What the command line says about the data.
        model: The model that takes the examples.
        count: Most examples.
        part: `"train"` or `"test"`, where the data has parts.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ValueError: If there is no such data, or it does not fit the model's one input.
    """
    x, y = choice.inputs(part)
    x = x[:count]
    wanted = model.inputs[0].shape[1:]
    if (
        len(model.inputs) != 1
        or len(wanted) != x.ndim - 1
        or any(size not in (None, given) for size, given in zip(wanted, x.shape[1:], strict=True))
    ):
        raise ValueError(
            f"The data fits the model's input, {wanted} for each sample. Received: "
            f"{x.shape[1:]} in {choice.data}."
        )
    return x, None if y is None else y[:count]


def _kinds() -> dict[str, Any]:
    """The type of each field of `DataChoice`."""
    return typing.get_type_hints(DataChoice)


def _is(value: object, kind: Any) -> bool:
    """Whether a value read from JSON has a field's type."""
    if isinstance(kind, types.UnionType):
        return any(_is(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(isinstance(word, str) for word in value)
    return type(value) is kind


def with_data(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of `DataChoice` in place of its argument `data`.

    Args:
        command: A function with an argument `data: DataChoice`, and others for typer.

    Returns:
        The function that typer gets.
    """
    options = inspect.signature(DataChoice).parameters
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(**values: Any) -> None:
        choice = DataChoice(**{name: values.pop(name) for name in options})
        command(data=choice, **values)

    parameters = []
    for name, parameter in own.items():
        group = options.values() if name == "data" else [parameter]
        parameters += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in group]
    typed: Any = run
    typed.__signature__ = inspect.Signature(parameters)
    typed.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
