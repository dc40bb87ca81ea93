"""NumPy references of the networks' special layers, written from their formulas."""

import numpy as np


def local_response_normalization(x, size, alpha, beta, k):
    """One channel and pixel at a time; channels last."""
    y = np.empty_like(x)
    for place in np.ndindex(x.shape):
        channel = place[-1]
        first, last = max(0, channel - size // 2), channel + size // 2 + 1
        total = (x[place[:-1]][first:last] ** 2).sum()
        y[place] = x[place] / (k + alpha / size * total) ** beta
    return y


def unfold(x, s):
    """Maps (B, H, W, C) to (B, s², N, C), patch by patch."""
    batch, height, width, channels = x.shape
    y = np.empty((batch, s * s, height * width // s**2, channels), x.dtype)
    for row in range(height):
        for column in range(width):
            place = (row % s) * s + column % s
            patch = (row // s) * (width // s) + column // s
            y[:, place, patch] = x[:, row, column]
    return y


def softmax(x, axis):
    """exp(x) / Σ exp(x)."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def separable_context(x):
    """Σ_N softmax(q)·k and v of (…, N, 1 + 2a)."""
    a = x.shape[-1] // 2
    scores = softmax(x[..., 0], -1)
    return np.einsum("...n,...na->...a", scores, x[..., 1 : 1 + a])[..., None, :], x[..., 1 + a :]


def relative_attention(x, heads, bias):
    """Attention over pixels, one head and query at a time; `bias[dy + h − 1, dx + w − 1, head]`."""
    batch, height, width, channels = x.shape
    query, key, value = np.split(x, 3, axis=-1)
    size = channels // 3 // heads
    y = np.empty((batch, height, width, channels // 3))
    for b, i, j, head in np.ndindex(batch, height, width, heads):
        part = slice(head * size, (head + 1) * size)
        scores = key[b, :, :, part] @ query[b, i, j, part] / np.sqrt(size)
        down = i - np.arange(height)[:, None] + height - 1
        right = j - np.arange(width)[None, :] + width - 1
        weights = softmax((scores + bias[down, right, head]).ravel(), 0)
        y[b, i, j, part] = weights @ value[b, :, :, part].reshape(-1, size)
    return y
