"""`FisherSpectrum`: eigenvalues of a network's block-diagonal Fisher information matrix.

One `BlockSpectrum` per weighted layer (see `keras_actfn.fisher.block_spectrum` for what is kept and
how zeros are counted), the histograms over all of them, and the distance of two networks.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._files import DamagedFile
from . import spectrum_file
from .block_spectrum import HIGH, LOW, BlockSpectrum

PARAMETERS_PER_BIN = 100


@dataclass
class FisherSpectrum:
    """Eigenvalues of a network's block-diagonal Fisher information matrix.

    Attributes:
        blocks: One `BlockSpectrum` per weighted layer, in the order of their first use.
        uncovered: Layers with weights that could not be treated, and why.
        excluded: Layers left out by an option (as normalisation) or not trainable, and why.
        settings: What was computed: mode, loss, engine, number of examples, seed.
        timings: Seconds spent per stage; empty after loading.

    Example:
        >>> spectrum = keras_actfn.fisher.fisher_spectrum(model, x)
        >>> spectrum.layers
        ['dense', 'dense_1']
        >>> spectrum.features().shape
        (5,)
    """

    blocks: list[BlockSpectrum]
    uncovered: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> list[str]:
        """Names of the blocks, in the order of their first use."""
        return [block.name for block in self.blocks]

    @property
    def parameters(self) -> int:
        """Number of weights covered."""
        return sum(block.parameters for block in self.blocks)

    @property
    def problems(self) -> dict[str, str]:
        """Layers whose spectrum is not usable, and why."""
        return {block.name: block.problem for block in self.blocks if block.problem}

    @property
    def valid(self) -> bool:
        """Whether every block is finite and has a positive eigenvalue.

        Activations or gradients that explode or vanish make a spectrum invalid; the paper
        filters such activation functions (appendix C).
        """
        return bool(self.blocks) and not self.problems

    def __getitem__(self, layer: str | int) -> BlockSpectrum:
        """Return a block by its name, or by its position."""
        if isinstance(layer, int):
            return self.blocks[layer]
        for block in self.blocks:
            if block.name == layer:
                return block
        hint = ""
        if layer in self.uncovered:
            hint = f" It was not treated: {self.uncovered[layer]}."
        elif layer in self.excluded:
            hint = f" It was {self.excluded[layer]}."
        raise ValueError(
            f"No block is named {layer!r}; the blocks are {', '.join(self.layers)}.{hint}"
        )

    def log_eigenvalues(self, layer: str | int) -> np.ndarray:
        """Return all natural log-eigenvalues of one block, ascending; zeros give −inf."""
        return self[layer].log_eigenvalues()

    def histogram(self, layer: str | int, bins: int | None = None) -> np.ndarray:
        """Return counts in equal bins from −100 to 100; by default ⌊|θ_l| / 100⌋ bins."""
        block = self[layer]
        return block.histogram(_bins(block, bins))

    def cdf(self, layer: str | int, bins: int | None = None) -> np.ndarray:
        """Return the cumulative distribution of one block's log-eigenvalues.

        Args:
            layer: Name or position of the block.
            bins: Number of equal bins from −100 to 100; by default ⌊|θ_l| / 100⌋.

        Returns:
            For each bin, the share of eigenvalues in it and the bins before: the value of the
            distribution function at the bin's right edge. Shape (bins,), the last value is 1.
            NaN where the block is not finite.
        """
        block = self[layer]
        if not block.finite:
            return np.full(_bins(block, bins), np.nan)
        return np.cumsum(block.histogram(_bins(block, bins))) / block.parameters

    def features(self, kind: str = "cdf", weighted: bool = False) -> np.ndarray:
        """Return the paper's feature vector: all layers, ⌊|θ_l| / 100⌋ bins each.

        Args:
            kind: `"cdf"` for cumulative shares, whose Manhattan distance is a Wasserstein
                distance; `"histogram"` for counts.
            weighted: Scale each layer's CDF by its bin width over |θ_l|, so that the Manhattan
                distance of two vectors is the paper's Eq. 2 on binned eigenvalues.

        Returns:
            Float32 array: 13,692 numbers for All-CNN-C, 16,500 for ResNet-56 V2 (paper,
            appendix D).
        """
        if kind not in ("cdf", "histogram"):
            raise ValueError(f"kind must be 'cdf' or 'histogram'; received {kind!r}.")
        if weighted and kind != "cdf":
            raise ValueError("weighted=True scales CDFs; it needs kind='cdf'.")
        parts = []
        for i, block in enumerate(self.blocks):
            part = self.cdf(i) if kind == "cdf" else self.histogram(i)
            if weighted:
                part = part * bin_weights([block.parameters])
            parts.append(part.astype(np.float32))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def distance(self, other: "FisherSpectrum", bins: int | None = None) -> float:
        """Return the paper's Eq. 2: Σ_l W₁(μ_l, ν_l) / |θ_l|.

        μ_l and ν_l are the distributions of layer l's log-eigenvalues, limited to −100…100.
        Layers are matched by position, since Keras numbers names by what else was built.

        Args:
            other: The spectrum of the same architecture with another activation function.
            bins: `None` for the exact distance between the eigenvalues (sorted, and paired in
                order); a number of bins for the distance between binned CDFs, much cheaper.

        Raises:
            ValueError: If the layers' sizes differ, or one of the spectra is not finite.
        """
        sizes = [b.parameters for b in self.blocks], [b.parameters for b in other.blocks]
        if sizes[0] != sizes[1]:
            raise ValueError(
                "The distance compares one architecture with two activation functions: layers "
                f"must have the same numbers of weights; received {sizes[0]} and {sizes[1]}."
            )
        total = 0.0
        for i, block in enumerate(self.blocks):
            if bins is None:
                a = np.clip(self.log_eigenvalues(i), LOW, HIGH)
                b = np.clip(other.log_eigenvalues(i), LOW, HIGH)
                total += float(np.abs(a - b).mean()) / block.parameters
            else:
                gap = np.abs(self.cdf(i, bins) - other.cdf(i, bins))
                total += float(gap @ bin_weights([block.parameters], [bins]))
        if not np.isfinite(total):
            raise ValueError(
                "The distance needs finite spectra; these layers are not: "
                f"{', '.join([*self.problems, *other.problems])}. Filter by spectrum.valid first."
            )
        return total

    def summary(self, layer: str | int | None = None) -> dict[str, float]:
        """Return the spectrum's figures for one block or for the whole network.

        * `parameters`, `positive`: numbers of eigenvalues, and of positive ones;
        * `max`, `min_positive`, `trace`;
        * `effective_rank`: exp of the entropy of the eigenvalues divided by their sum
          (Roy & Vetterli, 2007): between 1 and `positive`;
        * `log_determinant`: sum of the natural logs of the positive eigenvalues;
        * `condition_number`: max / min_positive.
        """
        if layer is not None:
            return self[layer].summary()
        whole = BlockSpectrum("", self.parameters, [p for b in self.blocks for p in b.pairs])
        return whole.summary()

    @property
    def clipped(self) -> float:
        """Largest share of negative eigenvalues set to zero in a block's factors."""
        return max((block.clipped for block in self.blocks), default=0.0)

    def save(self, path: str | os.PathLike) -> None:
        """Write the factor eigenvalues and a manifest to an npz file, atomically."""
        spectrum_file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "FisherSpectrum":
        """Read a file written by `save`.

        Raises:
            ValueError: If the file is not a spectrum, is damaged, or of a newer format.
        """
        manifest, pairs = spectrum_file.load(path)
        blocks = [
            BlockSpectrum(entry["name"], entry["parameters"], part, entry["clipped"])
            for entry, part in zip(manifest["blocks"], pairs, strict=True)
        ]
        for problem in filter(None, map(_stored_problem, blocks)):
            raise DamagedFile(
                path, f"it is not a Fisher spectrum ({problem})", spectrum_file.REMEDY
            )
        return cls(blocks, manifest["uncovered"], manifest["excluded"], manifest["settings"])

    def plot(self, layers: Sequence[str | int] | None = None) -> Any:
        """Draw the distribution of log-eigenvalues per layer; returns a Matplotlib figure."""
        from ..plotting.spectra import spectrum_figure

        return spectrum_figure({"": self}, layers=layers)

    def __repr__(self) -> str:
        state = "valid" if self.valid else "invalid"
        extra = f", {len(self.uncovered)} uncovered" if self.uncovered else ""
        size = f"{len(self.blocks)} layers, {self.parameters} weights"
        return f"<FisherSpectrum: {size}, {state}{extra}>"


def _stored_problem(block):
    """Why a block that was read cannot be one that was computed, or `None`."""
    count = sum(len(omega) * len(gamma) for omega, gamma in block.pairs)
    if not block.parameters or count != block.parameters:
        return f"block '{block.name}' has {block.parameters} weights and {count} eigenvalues"
    if not 0 <= block.clipped <= 1:
        return f"of block '{block.name}' the share {block.clipped} is clipped"
    for values in (part for pair in block.pairs for part in pair):
        if np.any(values < 0) or not np.array_equal(values, np.sort(values), equal_nan=True):
            return f"eigenvalues of block '{block.name}' are negative or not in order"
    return None


def bin_weights(
    parameters: Sequence[int] | np.ndarray, bins: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Return the weight of each bin in the paper's Eq. 2: a layer's bin width over |θ_l|.

    The Manhattan distance of two networks' CDFs, with these weights, is Eq. 2 on binned
    eigenvalues.

    Args:
        parameters: Number of weights |θ_l| of each layer.
        bins: Number of bins from −100 to 100 of each layer; by default ⌊|θ_l| / 100⌋.

    Returns:
        Float64 array of shape (sum of bins,).
    """
    parameters = np.asarray(parameters, np.int64)
    bins = parameters // PARAMETERS_PER_BIN if bins is None else np.asarray(bins, np.int64)
    widths = (HIGH - LOW) / np.maximum(bins, 1)
    return np.repeat(widths / parameters, bins)


def _bins(block, bins):
    if bins is None:
        return block.parameters // PARAMETERS_PER_BIN
    if bins < 1:
        raise ValueError(f"bins must be a positive number of bins; received {bins}.")
    return bins
