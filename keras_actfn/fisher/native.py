"""The native engine: one tapped forward pass, one backward pass a cotangent, NumPy factors.

The forward pass gives every layer's input; Ω is summed from these in a thread pool while the
backend runs the backward passes, and Γ of one cotangent while it runs the next. Models are not
compiled; on JAX a new activation function is, once.
"""

import time
from dataclasses import dataclass

import keras
import numpy as np

from ..backend import GradientTaps
from . import distributions
from .spectrum import BlockSpectrum, FisherSpectrum
from .tapping import Plan
from .threads import numpy_pool


@dataclass(frozen=True)
class Request:
    """What to compute: the arguments of `fisher_spectrum` after its checks."""

    mode: str
    loss: object
    seed: int | None
    training: bool
    batch_size: int | None
    include_normalization: bool
    include_activations: bool


def native_spectrum(model, x, y, request: Request) -> FisherSpectrum:
    """Compute the spectrum with the native engine; see `fisher_spectrum`."""
    plan, blocks, samples, timings, family = compute_blocks(model, x, y, request)
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
    settings = {
        "engine": "native",
        "mode": request.mode,
        "loss": family,
        "examples": samples,
        "seed": request.seed,
        "training": request.training,
    }
    return FisherSpectrum(spectra, plan.uncovered, plan.excluded, settings, timings)


def compute_blocks(model, x, y, request: Request):
    """Accumulate all blocks.

    Returns:
        The plan, the blocks in order of first use, the number of examples, the seconds per
        stage, and the loss family.
    """
    plan = Plan(
        model,
        normalization=request.include_normalization,
        activations=request.include_activations,
        training=request.training,
    )
    generator = np.random.default_rng(request.seed)
    samples = len(keras.tree.flatten(x)[0])
    step = request.batch_size or samples
    timings = {"forward and backward": 0.0, "factors": 0.0}
    blocks: dict[int, object] = {}
    family = None
    with numpy_pool() as submit:
        for start in range(0, samples, step):
            part = slice(start, min(start + step, samples))
            x_part = keras.tree.map_structure(lambda a, part=part: a[part], x)
            y_part = None if y is None else y[part]
            family, used = _accumulate(
                model, x_part, y_part, plan, request, generator, submit, timings
            )
            blocks.update({id(block): block for block in used})
    for _, treatment in plan.treatments:
        for block in treatment.blocks:
            if id(block) not in blocks:
                plan.uncovered[block.name] = "the forward pass does not use it"
    return plan, list(blocks.values()), samples, timings, family


def _accumulate(model, x, y, plan, request, generator, submit, timings):
    """Add one batch to the blocks; return the loss family and the blocks used, in order."""
    start = time.perf_counter()
    seen = {}

    def forward(tap):
        # Weights as constants: nothing is kept for gradients to them.
        weights = [(w, keras.ops.stop_gradient(w.value)) for w in model.trainable_variables]
        output, recorder = plan.run(model, x, tap, request.training, weights)
        if not keras.ops.is_tensor(output) or len(output.shape) < 2:
            raise ValueError(
                "A Fisher spectrum needs a model with one output of shape (batch, …, outputs); "
                f"received {_describe(output)}. Build a keras.Model with the output of interest."
            )
        kind, logits = recorder.final(output)
        family, from_logits = distributions.resolve_loss(model, request.loss, kind)
        seen.update(recorder=recorder, family=family, from_logits=from_logits)
        found = distributions.find_logits(output, family, from_logits, kind, logits)
        # A model may end before its last treated layer's gradient: the logits may be that
        # layer's own output, so they pass through one more operation.
        return keras.ops.reshape(found, found.shape), [*recorder.inputs, output]

    taps = GradientTaps(forward)
    recorder, family = seen["recorder"], seen["family"]
    *inputs, output = taps.tensors
    distributions.check_probabilities(_numpy(output), family, seen["from_logits"])
    with np.errstate(all="ignore"):
        columns = distributions.cotangents(_numpy(taps.output), family, request.mode, y, generator)
    timings["forward and backward"] += time.perf_counter() - start

    by_block: dict[int, tuple[object, list[int]]] = {}
    for i, (blocks, _) in enumerate(recorder.uses):
        for block in blocks:
            by_block.setdefault(id(block), (block, []))[1].append(i)
    omegas = {
        key: submit(_add_inputs, block, [(inputs[i], recorder.uses[i][1]) for i in uses])
        for key, (block, uses) in by_block.items()
    }
    del inputs

    jobs = []
    start = time.perf_counter()
    for gradients in taps.pullback(columns):
        timings["forward and backward"] += time.perf_counter() - start
        start = time.perf_counter()
        for job in jobs:
            job.result()
        timings["factors"] += time.perf_counter() - start
        jobs = [
            submit(_add_gradients, block, [gradients[i] for i in uses], omegas[key])
            for key, (block, uses) in by_block.items()
        ]
        start = time.perf_counter()
    for job in [*omegas.values(), *jobs]:
        job.result()
    timings["factors"] += time.perf_counter() - start
    return family, [block for block, _ in by_block.values()]


def _add_inputs(block, uses):
    block.start_batch()
    for x, output_shape in uses:
        block.add_input(_numpy(x), output_shape)


def _add_gradients(block, gradients, inputs_added):
    if block.inputs_first:
        inputs_added.result()  # it began before this job, so a thread is at it or done
    for gradient in gradients:
        block.add_gradient(_numpy(gradient))


def _numpy(tensor) -> np.ndarray:
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
