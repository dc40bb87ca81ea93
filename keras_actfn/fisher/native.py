"""The native engine: one tapped forward pass, one backward pass a cotangent, NumPy factors.

The forward pass gives every layer's input; Ω is summed from these in a thread pool while the
backend runs the backward passes, and Γ of one cotangent while it runs the next. Models are not
compiled; on JAX a new activation function is, once.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..backend import GradientTaps
from ..models.objective import mask_of
from .block_spectrum import BlockSpectrum
from .distribution import Distribution
from .factors import Block
from .losses import distribution_of, position_weights
from .spectrum import FisherSpectrum
from .tapping import TappedLayers, build_all_layers
from .threads import numpy_pool


@dataclass(frozen=True)
class Request:
    """What to compute: the arguments of `fisher_spectrum` after its checks."""

    mode: str = "exact"
    loss: object = None
    seed: int | None = None
    training: bool = False
    batch_size: int | None = None
    sample_weight: np.ndarray | None = None
    class_weight: Mapping[int, float] | None = None
    options: frozenset[str] = frozenset()

    def settings(self, engine: str, distribution: Distribution, samples: int) -> dict:
        """Return what a spectrum says about how it was computed."""
        settings = {
            "engine": engine,
            "mode": self.mode,
            "loss": distribution.name,
            "examples": samples,
            "seed": self.seed,
            "training": self.training,
        }
        options = distribution.options
        if "class_weight" in options and self.class_weight is not None:
            options["class_weight"] = {str(k): float(v) for k, v in self.class_weight.items()}
        if self.sample_weight is not None:
            options["sample_weight"] = True
        return settings | ({"options": options} if options else {})


def native_spectrum(model: keras.Model, x: Any, y: Any, request: Request) -> FisherSpectrum:
    """Compute the spectrum with the native engine; see `fisher_spectrum`."""
    tapped, blocks, samples, timings, distribution = compute_blocks(model, x, y, request)
    start = time.perf_counter()
    with numpy_pool() as submit:
        largest_first = sorted(
            blocks, key=lambda block: -max(m.dimension for m in block.omegas + block.gammas)
        )
        futures = {id(block): submit(block.pairs, samples) for block in largest_first}
        spectra = [
            BlockSpectrum.from_raw(block.name, block.parameters, futures[id(block)].result())
            for block in blocks
        ]
    timings["eigenvalues"] = time.perf_counter() - start
    settings = request.settings("native", distribution, samples)
    return FisherSpectrum(spectra, tapped.uncovered, tapped.excluded, settings, timings)


def compute_blocks(model: keras.Model, x: Any, y: Any, request: Request) -> tuple:
    """Accumulate all blocks.

    Returns:
        The tapped layers, the blocks in order of first use, the number of examples, the seconds
        per stage, and the distribution.
    """
    generator = np.random.default_rng(request.seed)
    samples = len(keras.tree.flatten(x)[0])
    step = request.batch_size or samples
    first = keras.tree.map_structure(lambda a: a[:step], x)
    build_all_layers(model, first)
    tapped = TappedLayers(model, request.options, request.training)
    timings = {"forward and backward": 0.0, "factors": 0.0}
    blocks: dict[int, object] = {}
    distribution = None
    with numpy_pool() as submit:
        for start in range(0, samples, step):
            part = slice(start, min(start + step, samples))
            batch = (
                keras.tree.map_structure(lambda a, part=part: a[part], x),
                *(None if a is None else a[part] for a in (y, request.sample_weight)),
            )
            distribution, used = _accumulate(
                model, batch, tapped, request, generator, submit, timings
            )
            blocks.update({id(block): block for block in used})
    tapped.add_unused(set(blocks))
    return tapped, list(blocks.values()), samples, timings, distribution


def _accumulate(model, batch, tapped, request, generator, submit, timings):
    """Add one batch to the blocks; return the distribution and the blocks used, in order."""
    x, y, sample_weight = batch
    start = time.perf_counter()
    seen: dict[str, Any] = {}

    def forward(tap):
        # Weights as constants: nothing is kept for gradients to them.
        weights = [(w, keras.ops.stop_gradient(w.value)) for w in model.trainable_variables]
        output, recorder = tapped.run(model, x, tap, request.training, weights)
        if not keras.ops.is_tensor(output) or len(output.shape) < 2:
            raise ValueError(
                "A Fisher spectrum needs a model with one output of shape (batch, …, outputs); "
                f"received {_describe(output)}. Build a keras.Model with the output of interest."
            )
        final = recorder.final(output)
        distribution = distribution_of(model, request.loss, final, request.class_weight)
        seen.update(recorder=recorder, distribution=distribution, mask=mask_of(output))
        found = distribution.logits_of(output, final)
        # A model may end before its last treated layer's gradient: the logits may be that
        # layer's own output, so they pass through one more operation.
        return keras.ops.reshape(found, found.shape), [*recorder.inputs, output]

    taps = GradientTaps(forward)
    recorder, distribution = seen["recorder"], seen["distribution"]
    *inputs, output = taps.tensors
    distribution.check_output(_numpy(output))
    logits = _numpy(taps.output)
    mask = None if seen["mask"] is None else keras.ops.convert_to_numpy(seen["mask"])
    factors = position_weights(logits.shape, mask, sample_weight)
    with np.errstate(all="ignore"):
        columns = distribution.cotangents(logits, request.mode, y, generator, factors)
    timings["forward and backward"] += time.perf_counter() - start

    by_block: dict[int, tuple[object, list[int]]] = {}
    for i, (blocks, _) in enumerate(recorder.uses):
        for block in blocks:
            by_block.setdefault(id(block), (block, []))[1].append(i)
    omegas = {
        key: submit(add_inputs, block, [(inputs[i], recorder.uses[i][1]) for i in uses])
        for key, (block, uses) in by_block.items()
    }
    del inputs

    jobs: list = []
    start = time.perf_counter()
    for gradients in taps.pullback(columns) if recorder.uses else ():
        timings["forward and backward"] += time.perf_counter() - start
        start = time.perf_counter()
        for job in jobs:
            job.result()
        timings["factors"] += time.perf_counter() - start
        jobs = [
            submit(add_gradients, block, [gradients[i] for i in uses], omegas[key])
            for key, (block, uses) in by_block.items()
        ]
        start = time.perf_counter()
    for job in [*omegas.values(), *jobs]:
        job.result()
    timings["factors"] += time.perf_counter() - start
    return distribution, [block for block, _ in by_block.values()]


def add_inputs(block: Block, uses: list) -> None:
    """Add a batch's inputs to a block.

    Args:
        block: The block.
        uses: Pairs of an input and the shape of the output, one for each use of the layer.
    """
    block.start_batch()
    for x, output_shape in uses:
        block.add_input(_numpy(x), output_shape)


def add_gradients(block: Block, gradients: list, inputs_added: Future) -> None:
    """Add the gradients of one cotangent to a block, one for each use of the layer.

    Args:
        block: The block.
        gradients: The gradients.
        inputs_added: The job of `add_inputs` for the batch. It must have begun.
    """
    if block.inputs_first:
        inputs_added.result()  # it began before this job, so a thread is at it or done
    for gradient in gradients:
        block.add_gradient(_numpy(gradient))


def _numpy(tensor: Any) -> np.ndarray:
    """Return a tensor as NumPy; half precision as float32."""
    if keras.backend.backend() == "jax":
        array = np.asarray(tensor)  # without the copy that convert_to_numpy makes
    else:
        array = keras.ops.convert_to_numpy(tensor)
    if array.dtype.itemsize < 4 and not np.issubdtype(array.dtype, np.integer):
        return array.astype(np.float32)
    return array


def _describe(output):
    shapes = [tuple(t.shape) for t in keras.tree.flatten(output)]
    return f"{len(shapes)} outputs of shapes {', '.join(map(str, shapes))}"
