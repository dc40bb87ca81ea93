"""What runs are ordered by: a metric, its direction, and the data it is measured on."""

import dataclasses
import math
from collections.abc import Iterable

from .._names import nearest

#: What `Task(mode=…)` takes.
MODES = ("min", "max")


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A metric and whether less or more of it is better.

    Attributes:
        metric: A name that `evaluate` reports.
        mode: `"min"` or `"max"`.

    Example:
        >>> Criterion("mae", "min").gain(0.5, 0.75)
        0.25
    """

    metric: str
    mode: str

    @property
    def sign(self) -> int:
        """1 where more is better, −1 where less is."""
        return 1 if self.mode == "max" else -1

    @property
    def worst(self) -> float:
        """What a run counts for that failed: no finite value is worse."""
        return -self.sign * math.inf

    @property
    def is_share(self) -> bool:
        """Whether tables show the metric in per cent: an accuracy."""
        return self.metric.rpartition("_")[2] in ("accuracy", "acc")

    @property
    def unit(self) -> str:
        """`" (%)"` for a metric that is shown in per cent."""
        return " (%)" if self.is_share else ""

    def gain(self, value: float, base: float) -> float:
        """How much better `value` is than `base`; more is better, whatever the mode."""
        return self.sign * (value - base)

    def number(self, value: float, signed: bool = False) -> str:
        """A value or a difference as tables show it, without its unit."""
        plus = "+" if signed else ""
        return f"{100 * value:{plus}.2f}" if self.is_share else f"{value:{plus}.4g}"

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{self.number(value)}{' %' if self.is_share else ''}"


def check_mode(mode: str | None) -> str | None:
    """Return a mode, or raise a ValueError that says which there are."""
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode is 'min' (less is better), 'max' or None. Received: {mode!r}.")
    return mode


def unknown_metric(metric: str, reported: Iterable[str]) -> ValueError:
    """The error for a metric that `evaluate` does not report."""
    reported = sorted(reported)
    return ValueError(
        f"metric is a name that evaluate() reports: {', '.join(reported)}. Received: {metric!r}. "
        f"{nearest(metric, reported)}".rstrip()
    )


def unknown_direction(metric: str) -> ValueError:
    """The error for a metric whose direction Keras does not know."""
    return ValueError(
        f"Keras does not say whether less or more of '{metric}' is better. Received: mode=None. "
        "Pass mode='min' or mode='max'."
    )
