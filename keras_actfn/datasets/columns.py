"""The columns of a table: what kind each is, which are refused, and the features made of them.

Refused, each by its name: dates; text with a different value in each row or in most (an id, a
name, free text); text that is mostly numbers, such as `12, ?, 7`; integers that count the rows;
and cells that hold neither text nor one number.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    import pandas

#: The most values of a column of text.
MOST_CATEGORIES = 256
#: A column of fewer rows is taken as it is: all values may differ by chance.
_FEW_ROWS = 10
_DATE = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T]\d{1,2}:\d{2}\S*)?\s*"
)
_DATES = ("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period")


def kind_of(column: "pandas.Series", path: Path, target: bool = False) -> str:
    """`"number"`, `"boolean"` or `"text"`.

    Args:
        column: A column of the table.
        path: The table's file, for messages.
        target: Whether it is the target, which may have other values in each row.

    Raises:
        ValueError: If the column is refused.
    """
    types = require("pandas", extra="tables").api.types
    found = types.infer_dtype(column, skipna=True)
    if column.isna().all():
        raise _refused(column, path, "has no value in any row", target)
    if found in _DATES:
        raise _refused(column, path, f"has dates or times ({column.dtype})", target)
    if found == "boolean":
        return "boolean"
    if found in ("integer", "floating", "decimal", "mixed-integer-float"):
        _check_numbers(column, path, target)
        return "number"
    if found not in ("string", "categorical", "empty"):
        raise _refused(column, path, f"has cells of {found} ({column.dtype})", target)
    return _check_text(column, path, target)


def _check_numbers(column, path, target):
    values = column.dropna().to_numpy(dtype="float64")
    if not np.isfinite(values).all() or np.abs(values).max() > np.finfo("float32").max:
        all_values = column.to_numpy(dtype="float64", na_value=0.0)
        bad = ~(np.abs(np.nan_to_num(all_values)) <= np.finfo("float32").max)
        row = int(np.argmax(bad | np.isinf(all_values)))
        raise ValueError(
            f"Numbers of a table are finite in float32. Received: {all_values[row]} in the column "
            f"'{column.name}' of {path}, row {row + 1}. Correct it or leave the row out."
        )
    counts = len(values) >= _FEW_ROWS and np.array_equal(values, np.arange(len(values)) + values[0])
    if counts and not target and len(values) == len(column):
        raise _refused(column, path, "counts the rows, so it says nothing about a new one", target)


def _check_text(column, path, target):
    values = column.dropna().astype(str)
    distinct = values.unique()
    if len(distinct) and all(_DATE.fullmatch(value) for value in distinct):
        raise _refused(column, path, f"has dates such as {distinct[0]}", target)
    numbers = np.array([_is_number(value) for value in values])
    if numbers.mean() > 0.5 and column.dtype.name != "category":
        row = int(np.argmin(numbers))
        raise ValueError(
            f"A column has numbers or text. Received: '{column.name}' of {path} with "
            f"{numbers.sum():,} numbers, and '{values.iloc[row]}' in row {values.index[row] + 1}. "
            "Leave such cells empty, or put the numbers in quotes with a letter if they are names."
        )
    if target:
        if len(distinct) > max(2, len(values) // 2):
            raise _refused(column, path, f"has {len(distinct):,} different texts", target)
        return "text"
    if len(distinct) == len(values) >= _FEW_ROWS:
        raise _refused(column, path, "has another text in each row, as an id or a name", target)
    if len(distinct) > MOST_CATEGORIES or len(distinct) > max(_FEW_ROWS, len(values) // 2):
        raise _refused(
            column,
            path,
            f"has {len(distinct):,} different texts in {len(values):,} rows, and a category has at "
            f"most {MOST_CATEGORIES}, each in two rows or more on average",
            target,
        )
    return "text"


def _is_number(text):
    try:
        return bool(np.isfinite(float(text.replace(",", "."))))
    except ValueError:
        return False


def _refused(column, path, reason, target):
    fix = (
        "Predict another column, or turn it into numbers or classes"
        if target
        else f"Leave it out: drop=['{column.name}'] (--drop '{column.name}'), or turn it into "
        "numbers or categories"
    )
    return ValueError(
        "The columns of a table are numbers, booleans or categories. Received: "
        f"'{column.name}' of {path}, which {reason}. {fix}."
    )


def check_missing(
    features: "pandas.DataFrame", kinds: Mapping[str, str], path: Path, allowed: bool
) -> None:
    """Raise if cells of features are empty, unless that is allowed."""
    empty = features.isna().sum()
    if allowed or not empty.any():
        return
    columns = [f"'{name}' ({count:,})" for name, count in empty[empty > 0].items()]
    shown = ", ".join(columns[:5]) + (", …" if len(columns) > 5 else "")
    raise ValueError(
        f"The cells of a table have values. Received: {path} with empty cells (or NA, NaN, null) "
        f"in {shown} of {len(features):,} rows. Fill them, leave the columns out (--drop), or pass "
        "missing='impute' (--missing impute): the training rows' median and a feature that marks "
        "it, or a category of its own."
    )


def as_features(
    features: "pandas.DataFrame", kinds: Mapping[str, str], train: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...], Any]:
    """Features of all rows by statistics of the training rows.

    Args:
        features: The columns.
        kinds: The kind of each.
        train: Positions of the training rows.

    Returns:
        float32 `(N, features)`, their names, and the fitted scikit-learn pipeline, whose
        `transform` takes rows with the same columns.

    Raises:
        ValueError: If a column of numbers has no value in any training row.
    """
    compose = require("sklearn.compose", extra="tables")
    impute = require("sklearn.impute", extra="tables")
    pipeline = require("sklearn.pipeline", extra="tables")
    preprocessing = require("sklearn.preprocessing", extra="tables")
    columns = {kind: [c for c in features if kinds[c] == kind] for kind in sorted(kinds.values())}
    fitted = features.iloc[train]
    for column in [*columns.get("number", ()), *columns.get("boolean", ())]:
        if fitted[column].isna().all():
            raise ValueError(
                "A column of numbers has a value in some training row. Received: "
                f"'{column}', which has none. Leave it out: drop=['{column}'] (--drop '{column}')."
            )
    fill = impute.SimpleImputer(strategy="median", add_indicator=True)
    steps = {
        "number": pipeline.make_pipeline(preprocessing.StandardScaler(), fill),
        "boolean": fill,
        "text": preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    }
    by_kind = compose.ColumnTransformer(
        [(kind, steps[kind], columns[kind]) for kind in steps if kind in columns]
    )
    prepare = preprocessing.FunctionTransformer(prepared, kw_args={"kinds": dict(kinds)})
    transformer = pipeline.make_pipeline(prepare, by_kind).fit(fitted)
    full = tuple(str(name) for name in by_kind.get_feature_names_out())  # number__age
    names = tuple(name.partition("__")[2] for name in full)
    names = names if len(set(names)) == len(names) else full
    return np.asarray(transformer.transform(features), "float32"), names, transformer


def prepared(rows: "pandas.DataFrame", kinds: Mapping[str, str]) -> "pandas.DataFrame":
    """The columns of rows with one dtype for each kind: text, or float64 with NaN where empty.

    Args:
        rows: Rows of a table, with the columns that are named in `kinds` or more.
        kinds: The kind of each column; empty text becomes the category `"missing"`.
    """
    found = rows[list(kinds)].astype(object)
    found = found.where(found.notna(), np.nan)
    for column, kind in kinds.items():
        if kind == "text":
            found[column] = found[column].map(str, na_action="ignore").fillna("missing")
        else:
            found[column] = found[column].astype("float64")
    return found
