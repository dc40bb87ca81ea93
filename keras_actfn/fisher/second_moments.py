"""Second moments of rows, accumulated in float64, and their eigenvalues.

For rows r_1, …, r_R of length d, the second moment is M = Σ_i r_i r_iᵀ, of shape
(d, d). Its nonzero eigenvalues are those of the Gram matrix (r_i · r_j) of shape
(R, R), so while R < d the rows are kept and M is never formed: the other d − R
eigenvalues are exact zeros.

Sums run in float64 whatever the rows' type: in float32 the rounding of a sum over
10⁵ rows is larger than the small eigenvalues, and moves their logarithms.
"""

import numpy as np

_BLOCK_BYTES = 1 << 20


def row_blocks(dimension: int, height: int) -> int:
    """Return how many rows to treat at once: about 1 MB, at least twice a product's height."""
    return max(2 * height, _BLOCK_BYTES // (8 * max(dimension, 1)), 1)


class SecondMoment:
    """The matrix Σ r rᵀ of rows added bit by bit.

    Not thread-safe: one thread at a time may add to one object.

    Args:
        dimension: Length d of a row.

    Example:
        >>> moment = SecondMoment(3)
        >>> moment.add(np.array([[1.0, 2.0, 2.0]]))
        >>> moment.eigenvalues()
        array([0., 0., 9.])
    """

    def __init__(self, dimension: int):
        self.dimension = int(dimension)
        self._rows: list[np.ndarray] = []
        self._kept = 0
        self._matrix: np.ndarray | None = None

    def add(self, rows: np.ndarray) -> None:
        """Add Σ r rᵀ over the rows of an array of shape (R, d)."""
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise ValueError(
                f"Rows must have shape (any, {self.dimension}); received {rows.shape}."
            )
        if self._matrix is None and self._kept + len(rows) < self.dimension:
            self._rows.append(np.array(rows))
            self._kept += len(rows)
            return
        matrix = self._dense()
        step = row_blocks(self.dimension, self.dimension)
        for start in range(0, len(rows), step):
            block = np.ascontiguousarray(rows[start : start + step], dtype=np.float64)
            matrix += block.T @ block

    def add_matrix(self, matrix: np.ndarray) -> None:
        """Add an already summed second moment of shape (d, d)."""
        self._dense()[...] += matrix

    def _dense(self) -> np.ndarray:
        if self._matrix is None:
            self._matrix = np.zeros((self.dimension, self.dimension))
            for rows in self._rows:
                rows = rows.astype(np.float64)
                self._matrix += rows.T @ rows
            self._rows, self._kept = [], 0
        return self._matrix

    def matrix(self) -> np.ndarray:
        """Return Σ r rᵀ as a dense array of shape (d, d)."""
        return self._dense().copy()

    def eigenvalues(self) -> np.ndarray:
        """Return the d eigenvalues in ascending order; NaN when a row is not finite."""
        if self._matrix is not None:
            return symmetric_eigenvalues(self._matrix)
        values = np.zeros(self.dimension)
        if self._kept:
            rows = np.concatenate(self._rows).astype(np.float64)
            found = symmetric_eigenvalues(rows @ rows.T)
            if not np.isfinite(found).all():
                return np.full(self.dimension, np.nan)
            values[self.dimension - self._kept :] = found
            values.sort()
        return values


class Diagonal:
    """A diagonal second moment: rows that have one nonzero entry each.

    The inputs of an Embedding are one-hot rows, whose second moment holds the
    number of times each index occurred.

    Args:
        dimension: Length of the diagonal.
    """

    def __init__(self, dimension: int):
        self.dimension = int(dimension)
        self._diagonal = np.zeros(self.dimension)

    def add_indices(self, indices: np.ndarray) -> None:
        """Count one-hot rows given by the position of their one."""
        self._diagonal += np.bincount(indices, minlength=self.dimension)

    def matrix(self) -> np.ndarray:
        """Return the dense array of shape (d, d)."""
        return np.diag(self._diagonal)

    def eigenvalues(self) -> np.ndarray:
        """Return the d eigenvalues in ascending order."""
        return np.sort(self._diagonal)


def symmetric_eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """Eigenvalues of a symmetric matrix, ascending; all NaN when it is not finite."""
    if not np.isfinite(matrix).all():
        return np.full(len(matrix), np.nan)
    try:
        return np.linalg.eigvalsh(matrix)
    except np.linalg.LinAlgError:
        return np.full(len(matrix), np.nan)
