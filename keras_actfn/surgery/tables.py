r"""Segments as tables of 256 bytes, in NumPy and in C.

An 8-bit network holds a number r as $q = \mathrm{round}(r / s) + z$ with a scale s and a zero
point z, $-128 \le q \le 127$. An activation between two such tensors is a table: entry q has

$$\mathrm{clip}\bigl(\mathrm{round}(p(s_x (q - z_x)) / s_y) + z_y,\ -128,\ 127\bigr).$$
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .._files import write_file
from .compile import CompiledSite


@dataclasses.dataclass(frozen=True)
class Quantization:
    """Scale s and zero point z of an 8-bit tensor.

    Example:
    ```python
    Quantization.of_range(-1.0, 3.0).quantize([-1.0, 0.0, 3.0])  # [-128, -64, 127]
    ```
    """

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> "Quantization":
        """Return the one whose 256 steps cover [low, high] and zero, zero being exact.

        Raises:
            ValueError: If the ends are not finite and rising, or both zero.
        """
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(f"A range has finite ends, low < high. Received: [{low}, {high}].")
        scale = (high - low) / 255
        return cls(scale, int(np.clip(np.round(-128 - low / scale), -128, 127)))

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest steps, int8."""
        steps = np.round(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def dequantize(self, steps: np.ndarray) -> np.ndarray:
        """Return the numbers that steps stand for, float64."""
        return self.scale * (np.asarray(steps, np.float64) - self.zero_point)


def int8_table(
    function: Callable[[np.ndarray], np.ndarray], inputs: Quantization, outputs: Quantization
) -> np.ndarray:
    """Return the 256 outputs of a function between 8-bit tensors, from q = −128 on, int8.

    Args:
        function: A function of NumPy arrays, such as a `Segments`.
        inputs: How its inputs are held.
        outputs: How its outputs are held.
    """
    return outputs.quantize(function(inputs.dequantize(np.arange(-128, 128))))


def quantizations(site: CompiledSite) -> tuple[Quantization, Quantization]:
    """Return those of a site's inputs and outputs, from the ranges on its data."""
    low, high = float(site.edges[0]), float(site.edges[-1])
    points = np.concatenate([[low], np.clip(site.segments.breakpoints, low, high), [high]])
    values = site.segments(points)
    return Quantization.of_range(low, high), Quantization.of_range(values.min(), values.max())


def write_c(path: str | Path, sites: Sequence[CompiledSite]) -> None:
    """Write a C header with a table and its scales for each site.

    A site `block/act` gives `block_act[256]`, indexed by `(uint8_t)(q + 128)`, and the macros
    `BLOCK_ACT_INPUT_SCALE`, `…_INPUT_ZERO_POINT`, `…_OUTPUT_SCALE` and `…_OUTPUT_ZERO_POINT`.

    Args:
        path: The file, usually with the ending `.h`.
        sites: The sites of a `Compiled`.

    Raises:
        ValueError: As `c_names`. Nothing is written then.
    """
    names = c_names(sites)
    guard = f"{c_name(Path(path).name).upper()}_INCLUDED"
    parts = [
        "/* Activations as tables of 8-bit outputs, made by keras_actfn. An input q gives",
        "   table[(uint8_t)(q + 128)]; a number r is held as round(r / SCALE) + ZERO_POINT. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "#include <stdint.h>",
    ]
    for name, site in zip(names, sites, strict=True):
        inputs, outputs = quantizations(site)
        table = int8_table(site.segments, inputs, outputs)
        parts += ["", f"/* {site.site.activation} at {site.site.path} */".replace("*/ */", "*/")]
        for kind, held in (("INPUT", inputs), ("OUTPUT", outputs)):
            parts.append(f"#define {name.upper()}_{kind}_SCALE {held.scale!r}f")
            parts.append(f"#define {name.upper()}_{kind}_ZERO_POINT ({held.zero_point})")
        rows = [", ".join(f"{v:4d}" for v in table[i : i + 16]) for i in range(0, 256, 16)]
        parts.append(f"static const int8_t {name}[256] = {{\n    " + ",\n    ".join(rows) + "};")
    parts += ["", "#endif", ""]
    write_file(path, "\n".join(parts))


def c_names(sites: Sequence[CompiledSite]) -> list[str]:
    """Return the name in C of each site.

    Raises:
        ValueError: If two sites would have one name in C, or macros of one name: these are in
            capital letters.
    """
    names = [c_name(site.site.path) for site in sites]
    paths: dict[str, list[str]] = {}
    for name, site in zip(names, sites, strict=True):
        paths.setdefault(name.upper(), []).append(site.site.path)
    for macro, double in paths.items():
        if len(double) > 1:
            raise ValueError(
                "Every site has a name of its own in C, capital and small letters being alike. "
                f"Received: the sites {', '.join(map(repr, double))}, whose macros begin with "
                f"{macro}. Rename a layer, or write the sites into two files."
            )
    return names


def c_name(text: str) -> str:
    """Return a name that C takes: `"block/act"` gives `block_act`."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() or not name else name
