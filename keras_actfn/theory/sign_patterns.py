"""The exact optimum of the correlation objective over the knot values.

Write V⁺ for the pseudo-inverse of V and B = D V^{-½}, so that ρ = B z for the unit vector
z = V^½ y / σ_f. For a fixed pattern of signs s_k = sign ρ_k,

    −L = Σ s_k ρ_k² = zᵀ Bᵀ S B z,

whose maximum is the top eigenvalue of Bᵀ S B. Every local minimum of L is the top
eigenvector of its own sign pattern (ρ = 0 counted as −1), so the search is over patterns:
start from those that split the classes, in the order of their means, into a negative and
a positive block; replace the pattern by the signs of its top eigenvector until it repeats;
keep the self-consistent ones. Trying all 2^K patterns proves the result for small K.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .class_statistics import ClassStatistics

# Directions of V below this share of its largest eigenvalue hold no probability.
RANK = 1e-13
ENUMERATED = 10
ITERATIONS = 50

TWO_CLASSES = (
    "The correlation objective needs at least three classes. With two, rho_2 = -rho_1, so "
    "L = 0 for every function and any priors: there is no optimum, and what training "
    "returns is its initial function. Maximise rho_2 instead: "
    "keras_actfn.theory.two_class_optimum(mixture, knots, extrapolation)."
)


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best knot values, in the gauge f(leftmost knot) = 0 and Var f(x) = 1.

    Attributes:
        values: Knot values y, shape (S,).
        objective: L at the optimum.
        correlations: ρ_k, shape (K,).
        certified: Whether every sign pattern was tried.
    """

    values: np.ndarray
    objective: float
    correlations: np.ndarray
    certified: bool


def whiten(covariance: np.ndarray) -> np.ndarray:
    """V^{-½} (pseudo-inverse square root) of one covariance matrix, shape (S, S)."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.where(scale > np.sqrt(RANK) * scale.max(initial=0.0), scale, np.inf)
    eigenvalues, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = eigenvalues > RANK * max(eigenvalues[-1], np.finfo(np.float64).tiny)
    return (vectors[:, kept] / np.sqrt(eigenvalues[kept])) / scale[:, None]


def _top_eigenvectors(b: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Top eigenvectors z of Bᵀ S B for many patterns, oriented to the larger −L."""
    # eigh of the K × K matrix, not the S × S one: with B = U Σ Wᵀ, z = W q where q is the
    # top eigenvector of Σ Uᵀ S U Σ.
    u, singular, wt = np.linalg.svd(b, full_matrices=False)
    core = u * singular
    matrices = np.einsum("ki,pk,kj->pij", core, signs, core)
    z = np.linalg.eigh(matrices)[1][:, :, -1] @ wt
    rho = z @ b.T
    flip = np.sum(rho * np.abs(rho), axis=1) < 0
    return np.where(flip[:, None], -z, z)


def _signs(b: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.where(z @ b.T > 0, 1.0, -1.0)


def _starts(order: np.ndarray) -> np.ndarray:
    """The 2(K − 1) prefix and suffix patterns of the classes in the given order."""
    classes = order.size
    patterns = np.empty((classes - 1, classes))
    for split in range(1, classes):
        patterns[split - 1, order[:split]] = -1.0
        patterns[split - 1, order[split:]] = 1.0
    return np.concatenate([patterns, -patterns])


def _all_patterns(classes: int) -> np.ndarray:
    bits = np.arange(2**classes)[:, None] >> np.arange(classes)
    return np.where(bits & 1, 1.0, -1.0)


def _ascend(b: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Climb −L on the unit sphere from z; used when no pattern reproduces itself."""

    def score(v):
        rho = b @ v
        return np.sum(rho * np.abs(rho))

    step, value = 1.0, score(z)
    for _ in range(2000):
        gradient = 2.0 * b.T @ np.abs(b @ z)
        gradient -= (gradient @ z) * z
        if np.linalg.norm(gradient) < 1e-13:
            break
        while step > 1e-14:
            trial = z + step * gradient
            trial /= np.linalg.norm(trial)
            if score(trial) > value:
                break
            step *= 0.5
        else:
            break
        z, value, step = trial, score(trial), step * 2.0
    return z


def _fill(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Give knots that no input reaches the value interpolated from those that some reach."""
    index = np.arange(values.size)
    return np.interp(index, index[seen], values[seen])


def solve(
    statistics: ClassStatistics, order: ArrayLike | None = None, certify: bool = False
) -> Optimum:
    """Minimise L over the knot values of one unit.

    Args:
        statistics: The statistics of one unit (no leading axes).
        order: Class indices from the lowest to the highest class mean of the input; by
            default the classes are ordered by the mean of the basis coordinate.
        certify: Try all 2^K sign patterns; K ≤ 10.

    Returns:
        The `Optimum`. Where f and its mirror image tie, the one that responds to the last
        class of `order` is returned.

    Raises:
        ValueError: If K = 2, if `certify` is asked for K > 10, or if no function of the
            basis correlates with any class.
    """
    classes = statistics.classes
    if classes < 3:
        raise ValueError(TWO_CLASSES)
    if certify and classes > ENUMERATED:
        raise ValueError(
            f"certify=True tries all 2^K sign patterns and is limited to K <= {ENUMERATED}; "
            f"this mixture has {classes} classes. Leave certify=False."
        )
    root = whiten(statistics.covariance)
    b = statistics.contrasts @ root
    if root.shape[1] == 0 or np.abs(b).max() < 1e-12:
        raise ValueError(
            "No function on these knots correlates with any class: either the inputs fall "
            "outside the knots (with extrapolation 'clamp'), or all classes have the same "
            "distribution. Move the knots to where the inputs are."
        )
    if order is None:
        order = np.argsort(statistics.means @ np.arange(statistics.means.shape[-1]), kind="stable")
    order = np.asarray(order)
    patterns = _all_patterns(classes) if certify else _starts(order)
    z = _top_eigenvectors(b, patterns)
    for _ in range(ITERATIONS):
        following = _signs(b, z)
        settled = (following == patterns).all(axis=1)
        if settled.all():
            break
        patterns = following
        z = _top_eigenvectors(b, patterns)
    rho = z @ b.T
    scores = np.sum(rho * np.abs(rho), axis=1)
    best = int(np.argmax(scores))
    if not (_signs(b, z[best : best + 1]) == patterns[best]).all():
        z[best] = _ascend(b, z[best])
        refined = _top_eigenvectors(b, _signs(b, z[best : best + 1]))
        rho_refined = refined[0] @ b.T
        rho[best] = z[best] @ b.T
        if np.sum(rho_refined * np.abs(rho_refined)) >= np.sum(rho[best] * np.abs(rho[best])):
            z[best], rho[best] = refined[0], rho_refined
        scores[best] = np.sum(rho[best] * np.abs(rho[best]))
    ties = np.flatnonzero(scores > scores[best] - 1e-10 * abs(scores[best]))
    best = ties[np.argmax(rho[ties, order[-1]])]
    values = _fill(root @ z[best], np.any(root != 0.0, axis=1))
    values = statistics.unit_variance(values)
    return Optimum(
        values=values,
        objective=float(statistics.value(values)),
        correlations=statistics.correlations(values),
        certified=certify,
    )
