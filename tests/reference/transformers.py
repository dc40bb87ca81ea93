"""NumPy references of the transformers, from their weights by path; exact GELU between."""

import math

import keras
import numpy as np

_erf = np.vectorize(math.erf)


def weights_of(model):
    """Arrays by the path of the weight, such as `"block_1_qkv/kernel"`."""
    return {
        weight.path: keras.ops.convert_to_numpy(weight).astype("float64")
        for weight in model.weights
    }


def gelu(x):
    """X Φ(x)."""
    return x * 0.5 * (1 + _erf(x / math.sqrt(2)))


def softmax(x):
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def dense(w, name, x):
    """X W + b, with b only if there is one."""
    y = x @ w[f"{name}/kernel"]
    return y + w[f"{name}/bias"] if f"{name}/bias" in w else y


def norm(w, name, x, epsilon):
    """Layer normalisation of the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return scaled * w[f"{name}/gamma"] + w[f"{name}/beta"]


def attention(q, k, v, heads, causal=False):
    """One head at a time; the tokens are the last axis but one."""
    outputs = []
    for part in range(heads):
        own = slice(part * q.shape[-1] // heads, (part + 1) * q.shape[-1] // heads)
        scores = q[..., own] @ np.swapaxes(k[..., own], -1, -2) / math.sqrt(own.stop - own.start)
        if causal:
            scores[..., ~np.tri(scores.shape[-1], dtype=bool)] = -np.inf
        outputs.append(softmax(scores) @ v[..., own])
    return np.concatenate(outputs, -1)


def block(w, prefix, x, heads, epsilon):
    """A pre-norm encoder block, with q, k, v of one or of two dense layers."""
    h = norm(w, f"{prefix}_norm_1", x, epsilon)
    if f"{prefix}_qkv/kernel" in w:
        q, k, v = np.split(dense(w, f"{prefix}_qkv", h), 3, axis=-1)
    else:
        q, k = np.split(dense(w, f"{prefix}_qk", h), 2, axis=-1)
        v = dense(w, f"{prefix}_v", h)
    x = x + dense(w, f"{prefix}_projection", attention(q, k, v, heads))
    h = gelu(dense(w, f"{prefix}_mlp_1", norm(w, f"{prefix}_norm_2", x, epsilon)))
    return x + dense(w, f"{prefix}_mlp_2", h)


def prepend(w, x):
    """The learned tokens, the patches, and positions added."""
    tokens = np.broadcast_to(w["tokens/tokens"], (len(x), *w["tokens/tokens"].shape))
    return np.concatenate([tokens, x], 1) + w["positions/positions"]


def patches(w, images, patch):
    """The patches' tokens; sides are multiples of the patch's."""
    kernel = w["patches/kernel"]
    _, height, width, _ = images.shape
    tokens = [
        np.einsum("bhwc,hwcd->bd", images[:, y : y + patch, x : x + patch], kernel)
        for y in range(0, height, patch)
        for x in range(0, width, patch)
    ]
    return np.stack(tokens, 1) + w["patches/bias"]


def vit(w, images, patch, depth, heads):
    """Logits of ViT."""
    x = prepend(w, patches(w, images, patch))
    for index in range(1, depth + 1):
        x = block(w, f"block_{index}", x, heads, 1e-6)
    x = norm(w, "final_norm", x, 1e-6)[:, 0]
    return dense(w, "predictions", np.tanh(dense(w, "pre_logits", x)))


def deit(w, images, patch, depth, heads):
    """Logits of DeiT's two heads."""
    x = prepend(w, patches(w, images, patch))
    for index in range(1, depth + 1):
        x = block(w, f"block_{index}", x, heads, 1e-6)
    x = norm(w, "final_norm", x, 1e-6)
    return dense(w, "class_head", x[:, 0]), dense(w, "distillation_head", x[:, 1])


def tnt(w, images, patch, stride, depth, heads, pixel_heads):
    """Logits of TNT; patches and pixels one by one."""
    kernel, bias = w["pixels/kernel"], w["pixels/bias"]
    _, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))
    pixels = np.stack(
        [
            np.stack(
                [
                    np.einsum("bhwc,hwcd->bd", padded[:, y : y + 7, x : x + 7], kernel) + bias
                    for y in range(top, top + patch, stride)
                    for x in range(left, left + patch, stride)
                ],
                1,
            )
            for top in range(0, height, patch)
            for left in range(0, width, patch)
        ],
        1,
    )
    pixels = pixels + w["pixel_positions/positions"]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    x = dense(w, "to_tokens", norm(w, "to_tokens_norm_1", flat, 1e-5))
    x = prepend(w, norm(w, "to_tokens_norm_2", x, 1e-5))
    for index in range(1, depth + 1):
        prefix = f"block_{index}"
        pixels = block(w, f"{prefix}_inner", pixels, pixel_heads, 1e-5)
        linked = norm(w, f"{prefix}_link_norm", pixels, 1e-5).reshape(*pixels.shape[:2], -1)
        x[:, 1:] += dense(w, f"{prefix}_link", linked)
        x = block(w, f"{prefix}_outer", x, heads, 1e-5)
    return dense(w, "predictions", norm(w, "final_norm", x, 1e-5)[:, 0])


def gpt2(w, tokens, depth, heads):
    """Logits of GPT-2."""
    x = w["embedding/embeddings"][tokens] + w["positions/positions"][: tokens.shape[1]]
    for index in range(1, depth + 1):
        prefix = f"block_{index}"
        h = dense(w, f"{prefix}_qkv", norm(w, f"{prefix}_norm_1", x, 1e-5))
        h = attention(*np.split(h, 3, axis=-1), heads, causal=True)
        x = x + dense(w, f"{prefix}_projection", h)
        h = gelu(dense(w, f"{prefix}_mlp_1", norm(w, f"{prefix}_norm_2", x, 1e-5)))
        x = x + dense(w, f"{prefix}_mlp_2", h)
    return norm(w, "final_norm", x, 1e-5) @ w["embedding/embeddings"].T
