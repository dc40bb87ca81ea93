"""Fisher information by plain loops and closed forms, independent of the package."""

import itertools

import numpy as np


def patches(x, kernel, strides, dilation, low, outputs):
    """All patches of x (N, *S, C), one location after another: (N·T, K·C)."""
    rank = len(kernel)
    margin = 64
    padded = np.pad(x, [(0, 0), *[(margin, margin)] * rank, (0, 0)])
    rows = []
    for n in range(len(x)):
        for t in itertools.product(*(range(o) for o in outputs)):
            row = []
            for o in itertools.product(*(range(k) for k in kernel)):
                place = tuple(
                    margin + a * s - p + b * d
                    for a, s, p, b, d in zip(t, strides, low, o, dilation, strict=True)
                )
                row.append(padded[(n, *place)])
            rows.append(np.concatenate(row))
    return np.array(rows)


def softmax(z):
    """Softmax over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def dense_softmax_fisher(x, kernel, bias):
    """Closed form for one biased Dense layer under softmax cross-entropy.

    F = (1/N) Σ_n ā_n ā_nᵀ ⊗ (diag(p_n) − p_n p_nᵀ), the kernel in C order, then the bias.
    """
    z = x @ kernel + bias
    p = softmax(z)
    total = 0.0
    for a, q in zip(x, p, strict=True):
        a = np.append(a, 1.0)
        total = total + np.kron(np.outer(a, a), np.diag(q) - np.outer(q, q))
    return total / len(x)


def kronecker_eigenvalues(pairs):
    """All products of factor eigenvalues, ascending."""
    return np.sort(np.concatenate([np.outer(o, g).ravel() for o, g in pairs]))
