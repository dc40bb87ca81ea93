"""When two functions count as the same: the two definitions of equality on sampled inputs.

Both turn the values of functions (rows) on inputs (columns) into one 128-bit key a row;
functions with equal keys are one. `Grid` is this library's definition, the same on every
machine; `Float32` is that of the AQuaSurF paper, which depends on one library's rounding.
"""

import keras
import numpy as np
from keras import ops

from .._optional import require
from .operators import Operator

#: Operators whose limit at -inf, or at both infinities, is a number that their formula does not
#: give: x sigmoid(x) is -inf times 0 there.
LIMITS = {
    "swish": (-np.inf,),
    "gelu": (-np.inf,),
    "mish": (-np.inf,),
    "softsign": (-np.inf, np.inf),
}

#: TensorFlow's kernels that round otherwise than this library's operators; the published counts
#: are theirs.
KERNELS = {"elu": ops.elu, "selu": ops.selu}

FLOAT32_MAX = float(np.finfo(np.float32).max)


def row_keys(rows: np.ndarray) -> list[bytes]:
    """Return the XXH3 128-bit digest of the bytes of each row of a contiguous array."""
    digest = require("xxhash", extra="expressions").xxh3_128_digest
    return [digest(row) for row in rows]


def by_formula(operator: Operator, values: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """Return `values` with NaN where the operator takes a limit at infinity.

    Functions are compared by their formulas, as in the paper, so that counts stay as published.
    """
    if operator.name not in LIMITS:
        return values
    return np.where(np.isin(argument, LIMITS[operator.name]), np.nan, values).astype(values.dtype)


class Grid:
    """Equality on a grid: float64 values, rounded to 1e-6 of their inverse hyperbolic sine.

    r is mapped to the integer nearest arcsinh(r / 1e-3) / 1e-6: steps of 1e-9 near zero and of
    1e-6 r far from it. NaN is a value of its own, and so are numbers beyond float32's largest,
    by sign. Float noise (1e-16 r) is far below a step, so counts do not depend on the
    library that computes sines and exponentials.
    """

    name = "grid"
    dtype = np.float64
    threads = 2

    def apply(self, operator: Operator, *arrays: np.ndarray) -> np.ndarray:
        """Evaluate an operator on arrays that broadcast against each other."""
        return by_formula(operator, operator.on_arrays(*arrays), arrays[0])

    def keys(self, rows: np.ndarray, up_to_sign: bool) -> list[bytes]:
        """Return a key for each row of values; with `up_to_sign` the same for f and -f."""
        grid = rows * 1e3
        np.arcsinh(grid, out=grid)
        grid *= 1e6
        np.rint(grid, out=grid)
        tame = np.abs(rows).max(axis=1) <= FLOAT32_MAX
        if not tame.all():
            wild = np.flatnonzero(~tame)
            values = rows[wild]
            grid[wild] = np.where(
                np.abs(values) > FLOAT32_MAX, np.copysign(np.inf, values), grid[wild]
            )
        return row_keys(_canonical(grid, up_to_sign))


class Float32:
    """Equality of float32 outputs on the TensorFlow backend, with -0 = 0 and NaN = NaN."""

    name = "float32"
    dtype = np.float32
    threads = 1

    def __init__(self) -> None:
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "method='float32' is the published definition, which holds on the TensorFlow "
                f"backend only; the running backend is '{keras.backend.backend()}'. Use "
                "method='grid', or set the environment variable KERAS_BACKEND=tensorflow."
            )

    def apply(self, operator: Operator, *arrays: np.ndarray) -> np.ndarray:
        """Evaluate an operator on arrays that broadcast against each other."""
        tensors = [ops.convert_to_tensor(array) for array in arrays]
        function = KERNELS.get(operator.name, operator.function)
        values = ops.convert_to_numpy(function(*tensors))
        return by_formula(operator, values, arrays[0])

    def keys(self, rows: np.ndarray, up_to_sign: bool) -> list[bytes]:
        """Return a key for each row of values; with `up_to_sign` the same for f and -f."""
        return row_keys(_canonical(rows.copy(), up_to_sign))


METHODS = {"grid": Grid, "float32": Float32}


def _canonical(rows, up_to_sign):
    """Give equal rows equal bytes, in place."""
    nan = np.isnan(rows)
    if up_to_sign:
        counts = (rows != 0) & ~nan
        first = np.take_along_axis(rows, counts.argmax(axis=1)[:, None], axis=1)
        rows *= np.where(first < 0, -1, 1).astype(rows.dtype)
    rows += 0.0  # -0 becomes 0
    rows[nan] = np.nan
    return rows
