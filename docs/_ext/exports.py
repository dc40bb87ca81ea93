"""The formats that a model with a function can be written in, from the printed benchmark."""

from printed import printed

_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
_FORMATS = ("tf_saved_model", "onnx", "litert", "torch")


def export_rows(name: str) -> list[tuple[str, ...]]:
    """(format, on TensorFlow, on JAX, on PyTorch) of a function; none where nothing is printed.

    A cell is "yes", "differs", "no" with what failed, or "" where it is not printed.
    """
    tables = printed("exports.txt")
    if not all(name in tables.get(backend, {}) for backend in _BACKENDS):
        return []
    cells = {
        backend: dict(zip(tables[backend][""], tables[backend][name], strict=True))
        for backend in _BACKENDS
    }
    return [
        (f"`{form}`", *(cells[backend].get(form, "") for backend in _BACKENDS)) for form in _FORMATS
    ]


def export_text(name: str) -> list[str]:
    """The parts of a page on the export of a function; none where nothing is printed."""
    rows = export_rows(name)
    if not rows:
        return []
    lines = [("format", *_BACKENDS.values()), ("---",) * 4, *rows]
    return [
        "## Export",
        "A small network with it, written by Keras's `model.export`, run elsewhere and compared "
        "(1e-4 relative, [printed](../../benchmarks/exports.txt)). "
        "[Deploy](../deploy.md#freeze-and-export) says what to know of each format.",
        "\n".join("| " + " | ".join(line) + " |" for line in lines),
    ]
