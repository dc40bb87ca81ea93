"""What is to be predicted: whether it is classes or numbers, and the arrays that models train on.

| targets | are |
|---|---|
| text, categories, booleans | classes, in sorted order |
| integers 0, 1, …, n − 1 with n of at most 100 | classes |
| numbers with a fractional part | numbers: a regression |
| whole numbers with more than 100 different values, not 0, 1, …, n − 1 | numbers |
| other whole numbers | either; `problem` says which |
"""

import dataclasses
from typing import Any

import numpy as np

from .base import PROBLEMS

#: Whole numbers with more values than this are not taken for classes.
MOST_CLASSES = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """Targets of all examples.

    Attributes:
        y: int32 labels, `(N,)`, or float64 numbers, `(N,)` or `(N, outputs)`, as they were given.
        problem: `"classification"` or `"regression"`.
        class_names: Names of the classes; none for a regression.
    """

    y: np.ndarray
    problem: str
    class_names: tuple[str, ...] = ()

    def fields(self, train: np.ndarray, **others: np.ndarray) -> dict[str, Any]:
        """The fields of a `Dataset` that are made of the targets.

        Args:
            train: Positions of the training examples. Classes have to be among them, and the
                targets of a regression get their mean and standard deviation.
            **others: Positions of the other parts by their name, such as `test`.

        Raises:
            ValueError: If a class has no training examples, or the training targets are all equal.
        """
        parts = {"train": train, **others}
        if self.problem == "classification":
            self._check_classes(parts)
            found: dict[str, Any] = {f"y_{part}": self.y[at] for part, at in parts.items()}
            return found | {
                "problem": self.problem,
                "classes": len(self.class_names),
                "class_names": self.class_names,
            }
        mean, std = self.y[train].mean(0), self.y[train].std(0)
        if not np.all(std > 1e-12 * np.abs(mean)):
            raise ValueError(
                "The targets of a regression differ among the training examples. Received: "
                f"{len(train)} equal ones, {self.y[train[0]]}."
            )
        y = ((self.y - mean) / std).astype("float32")
        return {f"y_{part}": y[at] for part, at in parts.items()} | {
            "problem": self.problem,
            "classes": 0,
            "target_mean": mean,
            "target_std": std,
        }

    def _check_classes(self, parts):
        if len(self.class_names) < 2:
            raise ValueError(
                "A classification has two classes or more. Received: one, "
                f"'{self.class_names[0]}', for all {len(self.y)} examples."
            )
        present = set(self.y[parts["train"]].tolist())
        for part, positions in parts.items():
            unknown = sorted(set(self.y[positions].tolist()) - present)
            if unknown:
                raise ValueError(
                    "Each class has training examples. Received: none of "
                    f"'{self.class_names[unknown[0]]}', which the {part} part has."
                )


def targets_of(values: np.ndarray, problem: str | None = None, what: str = "The target") -> Targets:
    """Read targets by the rules of this module.

    Args:
        values: One target an example, `(N,)` or `(N, 1)`; several numbers an example,
            `(N, outputs)`, are a regression. Text, booleans, integers or floating-point numbers.
        problem: `"classification"` or `"regression"` where the values do not say; None if they do.
        what: What the targets are called, for messages.

    Returns:
        The `Targets`.

    Raises:
        ValueError: If the values are of another kind, are not finite, or do not say what they are.
    """
    if problem is not None and problem not in PROBLEMS:
        raise ValueError(
            f"problem is {' or '.join(PROBLEMS)}, or None. Received: problem={problem!r}."
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in "biufUS" or values.ndim not in (1, 2):
        raise ValueError(
            f"{what} is text, booleans or numbers, one an example. Received: shape {values.shape} "
            f"of {values.dtype}."
        )
    if not len(values):
        raise ValueError(f"{what} has at least one example. Received: none.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(1)))
        raise ValueError(
            f"{what} has finite numbers. Received: {values[row]} for the example {row}, which is "
            "not finite. Leave such examples out."
        )
    if values.ndim == 2:
        return _several(values, problem, what)
    if problem is None:
        problem = _problem_of(values, what)
    if problem == "regression":
        if values.dtype.kind not in "iuf":
            raise ValueError(
                f"{what} of a regression is numbers. Received: {values.dtype.name} such as "
                f"{values[0].item()!r}."
            )
        return Targets(values.astype("float64"), problem)
    names, y = np.unique(values, return_inverse=True)
    return Targets(y.astype("int32"), problem, tuple(_name(name) for name in names))


def _name(value):
    """A class's name: 3 of 3.0, text as it is."""
    value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _problem_of(values, what):
    """What one-dimensional values are, by the table of this module."""
    if values.dtype.kind not in "iuf":
        return "classification"
    if values.dtype.kind == "f" and not np.array_equal(values, np.floor(values)):
        return "regression"
    found = np.unique(values)
    counted = np.array_equal(found, np.arange(len(found)))
    if counted and values.dtype.kind != "f" and len(found) <= MOST_CLASSES:
        return "classification"
    if not counted and len(found) > MOST_CLASSES:
        return "regression"
    shown = ", ".join(f"{value:g}" for value in found[:6]) + (", …" if len(found) > 6 else "")
    raise ValueError(
        f"{what} of whole numbers may be classes or numbers, unless it has the integers 0, 1, …, "
        f"n-1 with n of at most {MOST_CLASSES} (classes) or more than {MOST_CLASSES} other values "
        f"(numbers). Received: {len(found)} different values, {shown} of {values.dtype.name}. Say "
        "what they are: problem='classification' or problem='regression' (--classification or "
        "--regression)."
    )


def _several(values, problem, what):
    if values.dtype.kind not in "iuf":
        raise ValueError(
            f"{what} with several values an example is numbers. Received: shape {values.shape} of "
            f"{values.dtype.name}."
        )
    one_hot = np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()
    if problem == "classification" or (one_hot and problem is None):
        hint = " They look one-hot: pass y.argmax(1)." if one_hot else ""
        raise ValueError(
            f"{what} of a classification is one label an example. Received: shape {values.shape}."
            f"{hint}"
        )
    return Targets(values.astype("float64"), "regression")
