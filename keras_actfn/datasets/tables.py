"""Tables of the user's own: a CSV or Parquet file with the column that is to be predicted.

What becomes of a column:

| column | features |
|---|---|
| numbers | one, standardised: minus the training rows' mean, over their standard deviation |
| booleans | one, 0 or 1 |
| text, categories | one for each value of the training rows: 1 where the row has it, else 0 |

A value of text that no training row has is 0 in all of its features. With `missing="impute"` an
empty cell of numbers or booleans becomes the training rows' median, and one more feature is 1
there; empty text is a value of its own, `missing`.

Which columns are refused is in `keras_actfn.datasets.columns`.
"""

import csv
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._files import NO_ACCESS
from .._names import nearest
from .._optional import require
from .base import Dataset, split_positions
from .columns import as_features, check_missing, kind_of
from .targets import targets_of

if TYPE_CHECKING:
    import pandas

#: Endings of files that are read.
ENDINGS = (".csv", ".tsv", ".parquet", ".pq")
MISSING = ("refuse", "impute")
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
#: Separators that a header is looked through for, if it has one column.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def read_table(
    path: str | os.PathLike,
    target: str,
    *,
    drop: Sequence[str] = (),
    problem: str | None = None,
    missing: str = "refuse",
    delimiter: str | None = None,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read a CSV or Parquet file with a column that is to be predicted from the others.

    Args:
        path: A file `….csv`, `….tsv` or `….parquet`; a CSV file is UTF-8 with a header.
        target: The column to predict: classes or numbers, by the rules of
            `keras_actfn.datasets.targets`. Numbers are standardised as features are;
            `Dataset.in_target_units` gives them back.
        drop: Columns to leave out.
        problem: `"classification"` or `"regression"` where the target does not say.
        missing: `"refuse"` takes no empty cells in features, `"impute"` fills them as the table
            above says. The target has none.
        delimiter: What separates the columns of a CSV file; None for a comma, or a tab in
            `….tsv`.
        test: The share of the rows, of each class where there are classes, that is for testing.
        seed: Seed of that split.

    Returns:
        A `Dataset` with rows of features, `(N, features)`. Its `preprocessing` is the fitted
        scikit-learn pipeline, which takes a data frame of new rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read as a table, there is no such column, or a column or
            cell is refused: it is named, with what to do.
        ImportError: If pandas, pyarrow (for Parquet) or scikit-learn is missing.

    Example:
    ```python
    from sklearn.datasets import load_diabetes

    load_diabetes(as_frame=True, scaled=False).frame.to_csv("diabetes.csv", index=False)
    diabetes = read_table("diabetes.csv", "target")
    diabetes.problem, diabetes.x_train.shape  # ("regression", (354, 10))
    ```
    """
    path = Path(path).expanduser()
    if missing not in MISSING:
        raise ValueError(
            f"missing is one of {', '.join(MISSING)}. Received: {missing!r}. "
            f"{nearest(str(missing), MISSING)}".rstrip()
        )
    frame = _frame(path, delimiter)
    for column in dict.fromkeys([target, *drop]):
        if column not in frame.columns:
            raise ValueError(
                f"A column is one of {_listed(frame.columns)}. Received: '{column}', which {path} "
                f"does not have. {nearest(str(column), map(str, frame.columns))}".rstrip()
            )
    if target in drop:
        raise ValueError(
            f"The target is not left out. Received: '{target}' as both target and drop."
        )
    values = _target_values(frame[target], path)
    features = frame.drop(columns=[target, *drop])
    if not len(features.columns):
        raise ValueError(
            f"A table has the target and at least one column to predict it from. Received: "
            f"{path} with no column but '{target}'{' and those left out' if drop else ''}."
        )
    targets = targets_of(values, problem, f"The target '{target}'")
    kinds = {column: kind_of(features[column], path) for column in features.columns}
    check_missing(features, kinds, path, allowed=missing == "impute")
    labels = targets.y
    train, held_out = split_positions(labels, test, seed, "rows")
    fields = targets.fields(train, test=held_out)
    x, names, preprocessing = as_features(features, kinds, train)
    return Dataset(
        x_train=x[train],
        x_test=x[held_out],
        **fields,
        name=path.stem,
        source=f"{path}, target {target}",
        feature_names=names,
        preprocessing=preprocessing,
    )


def _listed(columns: Any) -> str:
    names = [str(column) for column in columns]
    return ", ".join(names[:12]) + (f", … ({len(names)} columns)" if len(names) > 12 else "")


def _frame(path: Path, delimiter: str | None) -> "pandas.DataFrame":
    """The file as a data frame, with at least one row and two columns."""
    pandas = require("pandas", extra="tables")
    require("sklearn", extra="tables")
    if not path.is_file():
        raise FileNotFoundError(
            f"A table is a CSV or Parquet file. Received: {path}, which "
            f"{'is not a file' if path.exists() else 'does not exist'}."
        )
    if not path.stat().st_size:
        raise ValueError(f"A table has a header and rows. Received: {path}, which is empty.")
    if path.suffix.lower() in (".parquet", ".pq"):
        if delimiter is not None:
            raise ValueError(
                f"A delimiter is for CSV files. Received: delimiter={delimiter!r} for {path}."
            )
        frame = _parquet(path, pandas)
    else:
        frame = _csv(path, delimiter, pandas)
    if not len(frame):
        raise ValueError(f"A table has rows. Received: {path} with a header only.")
    return frame


def _check_header(names: Sequence[str], path: Path) -> None:
    """Raise unless the columns' names are at least two and all different."""
    if len(names) < 2:
        raise ValueError(
            f"A table has the target and at least one column to predict it from. Received: {path} "
            f"with one column, '{names[0] if names else ''}'."
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            "The columns of a table have different names. Received: "
            f"'{twice}' {list(names).count(twice)} times in {path}. Rename them."
        )


def _parquet(path: Path, pandas: Any) -> "pandas.DataFrame":
    parquet = require("pyarrow.parquet", extra="tables")
    try:
        table = parquet.read_table(path)
        frame = table.to_pandas(ignore_metadata=True)
    except NO_ACCESS:
        raise
    except Exception as error:  # pyarrow and pandas raise a dozen kinds for damaged bytes
        raise ValueError(
            f"{path} is a Parquet file. Received: a file that cannot be read so "
            f"({' '.join(str(error).split())})."
        ) from error
    _check_header(table.column_names, path)
    # An index with a name is a column; one without is how pandas stores the rows' numbers.
    unnamed = [name for name in table.column_names if _UNNAMED_INDEX.fullmatch(name)]
    return frame.drop(columns=unnamed)


def _csv(path: Path, delimiter: str | None, pandas: Any) -> "pandas.DataFrame":
    separator = delimiter
    if separator is None:
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
    if len(separator) != 1:
        raise ValueError(f"A delimiter is one character. Received: {delimiter!r}.")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=separator), [])
        _check_separator(header, separator, path)
        _check_header(header, path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(
                path, sep=separator, encoding="utf-8-sig", low_memory=False, index_col=False
            )
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A CSV file is UTF-8 text. Received: {path}, whose byte {error.start:,} is not. Save "
            "it as CSV UTF-8."
        ) from error
    except (pandas.errors.ParserError, pandas.errors.ParserWarning, csv.Error) as error:
        raise ValueError(
            f"A CSV file has as many cells in each row as its header. Received: {path} "
            f"({' '.join(str(error).split())})."
        ) from error
    return frame


def _check_separator(header: Sequence[str], separator: str, path: Path) -> None:
    """Raise if all names are in one cell because another character separates them."""
    if len(header) != 1:
        return
    for other, name in _SEPARATORS.items():
        if other != separator and other in header[0]:
            raise ValueError(
                f"The columns of {path} are separated by {_SEPARATORS.get(separator, separator)}. "
                f"Received: one column, '{header[0][:60]}', with {name} in it. Name what separates "
                f"them: delimiter={other!r} (--delimiter {other!r})."
            )


def _target_values(column: "pandas.Series", path: Path) -> np.ndarray:
    """The target's values as NumPy text, booleans or numbers."""
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"The target '{column.name}' has a value in each row. Received: {path} without one in "
            f"{missing.sum():,} of {len(column):,} rows, the first in row {row + 1}. Leave these "
            "rows out."
        )
    kind = kind_of(column, path, target=True)
    if kind == "text":
        return column.astype(str).to_numpy(dtype=str)
    if kind == "boolean":
        return column.to_numpy(dtype=bool)
    integers = column.dtype.kind in "iu"
    return column.to_numpy(dtype="int64" if integers else "float64")
