"""What a function costs beside ReLU, from the printed benchmarks."""

from printed import printed

#: Functions of the gallery by their rows in `layers.txt`, and in the latencies of `deploy.txt`.
LAYERS = {
    "swish": "swish",
    "prelu": "Keras PReLU, one slope",
    "pwl": "PWL",
    "crrelu": "CRReLU",
    "aff": "aff(identity,relu,tanh)",
}
LATENCIES = {
    name: name
    for name in (
        *("relu6", "leaky_relu", "sigmoid", "tanh", "elu", "swish", "gelu", "softplus", "mish"),
        "pwl",
    )
} | {"hard_silu": "hard_swish"}

_BACKENDS = {
    "jax": "JAX",
    "tensorflow graph": "TensorFlow",
    "tensorflow XLA": "TensorFlow, XLA",
    "torch": "PyTorch, compiled",
    "torch uncompiled": "PyTorch, eager",
}


def cost_rows(name: str) -> list[tuple[str, str, str]]:
    """(backend, one layer, step of training KerasNet) of a function, where both are printed."""
    if name not in LAYERS:
        return []
    tables = printed("layers.txt")
    return [
        (title, *tables[section][LAYERS[name]])
        for section, title in _BACKENDS.items()
        if LAYERS[name] in tables.get(section, {})
    ]


def latency(name: str) -> tuple[str, str] | None:
    """(alone, behind a convolution) of a function in LiteRT's 8 bits, where it is printed."""
    row = printed("deploy.txt").get("latency", {}).get(LATENCIES.get(name, ""))
    return (row[0], row[1]) if row else None


def cost_text(name: str) -> list[str]:
    """The parts of a page on the cost of a function; none where nothing is printed."""
    rows, chip = cost_rows(name), latency(name)
    parts = []
    if rows:
        rows = [("time / ReLU's", "one layer", "training step of KerasNet"), ("---",) * 3, *rows]
        if not any(step for _, _, step in rows[2:]):
            rows = [row[:2] for row in rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        parts += ["On two cores ([printed](../../benchmarks/layers.txt)):", "\n".join(lines)]
    if chip:
        parts.append(
            f"In 8 bits on LiteRT, one thread of a CPU: {chip[1]} of ReLU's time behind a "
            f"convolution, {chip[0]} of it alone, where ReLU itself is slow "
            "([printed](../../benchmarks/deploy.txt))."
        )
    return ["## Cost beside ReLU", *parts] if parts else []
