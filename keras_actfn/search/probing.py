"""Fisher spectra of a model at initialisation with many activation functions.

Each function gets the same initial weights and the same batch. What is cheap comes first: the
function's values on [-5, 5], then output and gradient of the network on a few examples, then
the spectrum. A function that fails is a result with its reason; such functions are filtered
(Bingham and Miikkulainen 2023, appendix C). An error that ReLU has as well is not the
function's and is raised.
"""

import itertools
import time
import warnings

import keras
import numpy as np

from .._optional import require
from ..backend import GradientTaps
from ..expressions import serialize
from ..fisher import fisher_spectrum
from ..initialization.autoinit import autoinit as scale_weights
from ..models.seeds import seeds_drawn_from
from .feature_store import ProbeResult
from .tandem import SEPARATOR, functions_of

#: Where a function must be finite. Zero is left out: as on the sampled inputs of a space,
#: sinh(x)/x counts as finite, and the batch decides.
GRID = np.linspace(-5, 5, 1000, dtype=np.float32)
SCREEN_EXAMPLES = 8
#: Results are written when there are so many, or when so many seconds have passed.
SHARD_RESULTS, SHARD_SECONDS = 16, 20.0
#: A builder ignores its argument if no layer's log-eigenvalues move by this on average.
_SAME = 1e-3
_REFERENCE = "relu(x)"


def screen(model, x):
    """Whether a model's output, and its gradient by the inputs, are finite on a few examples.

    Of models on integers (token numbers) only the output is looked at.

    Args:
        model: A built model with one output.
        x: A batch of inputs. The first `SCREEN_EXAMPLES` are used; on JAX, which would compile
            every operation for this size too, all of them.

    Returns:
        None, or what is not finite.
    """
    count = None if keras.backend.backend() == "jax" else SCREEN_EXAMPLES
    x = keras.tree.map_structure(lambda a: _tensor(a[:count]), x)
    tapped = []

    def forward(tap):
        def mark(tensor):
            if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
                return tensor
            tapped.append(True)
            return tap(tensor)

        with keras.StatelessScope():
            return model(keras.tree.map_structure(mark, x), training=False), []

    taps = GradientTaps(forward)
    if not np.isfinite(keras.ops.convert_to_numpy(taps.output)).all():
        return "the network's output is not finite"
    if tapped:
        shape = tuple(taps.output.shape)
        cotangent = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        gradients = next(taps.pullback([cotangent]))
        if not all(np.isfinite(keras.ops.convert_to_numpy(g)).all() for g in gradients):
            return "the network's gradient is not finite"
    return None


def probe(
    build_model, expression, x, y=None, *, seed=0, mode="exact", autoinit=False, number=0
) -> ProbeResult:
    """Compute the Fisher spectrum of a model at initialisation with one activation function.

    Args:
        build_model: Function of an activation's text that returns a new model. Its weights are
            drawn with `seed`, the same for every function.
        expression: The function, as `keras_actfn.expressions.resolve` takes it; or several for
            a model with groups of places, see `tandem`.
        x: Inputs to compute the spectrum on.
        y: Their labels, for `mode="empirical"`.
        seed: Seed of the weights, and of labels drawn by `mode="sampled"`.
        mode: As in `fisher_spectrum`.
        autoinit: Whether to scale the weights by `keras_actfn.initialization.autoinit` first.
        number: Number to give the result.

    Returns:
        A `ProbeResult`.

    Raises:
        Exception: Whatever building or running the network raises, if it does so with ReLU too.

    Example:
    ```python
    result = probe(lambda activation: LeNet5(activation=activation), "swish", images)
    result.cdf.shape  # (614,)
    ```
    """
    functions = functions_of(expression)
    text = SEPARATOR.join(map(serialize, functions))
    if not all(np.isfinite(function(GRID)).all() for function in functions):
        return ProbeResult(number, reason="its values are not finite on [-5, 5]")

    def attempt(text):
        model = _start(build_model, text, x, seed, autoinit)
        reason = screen(model, x)
        if reason is None:
            spectrum = fisher_spectrum(model, x, y, mode=mode, seed=seed)
            reason = _problem(spectrum)
        if reason is not None:
            return ProbeResult(number, reason=reason)
        parameters = tuple(block.parameters for block in spectrum.blocks)
        return ProbeResult(number, spectrum.features(), None, parameters)

    try:
        return attempt(text)
    except Exception as error:
        if text == _REFERENCE:
            raise
        attempt(_REFERENCE)  # raises what is no fault of the function
        message = str(error).partition("\n")[0]
        return ProbeResult(number, reason=f"{type(error).__name__}: {message}"[:200])


def check_builder(build_model, x, y=None, *, seed=0, mode="exact", autoinit=False):
    """Check that a builder gives a network with a Fisher spectrum that depends on its activation.

    Args:
        build_model: See `probe`; called with ReLU and with tanh.
        x: Inputs.
        y: Labels.
        seed: Seed of the weights.
        mode: As in `fisher_spectrum`.
        autoinit: See `probe`.

    Raises:
        ValueError: If both spectra are the same, have other layers, or neither is valid.
    """
    relu, tanh = (
        fisher_spectrum(_start(build_model, text, x, seed, autoinit), x, y, mode=mode, seed=seed)
        for text in (_REFERENCE, "tanh(x)")
    )
    problems = _problem(relu), _problem(tanh)
    if all(problems):
        raise ValueError(
            "A search needs a network whose Fisher spectrum at initialisation is finite and not "
            f"zero. Received one with: {problems[0]} (ReLU), {problems[1]} (tanh). Check that the "
            "inputs are finite and the weights trainable."
        )
    sizes = [[block.parameters for block in spectrum.blocks] for spectrum in (relu, tanh)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "build_model changes nothing but the activation: layers have as many weights with one "
            f"as with another. Received: {sizes[0]} with ReLU and {sizes[1]} with tanh."
        )
    if not any(problems) and _largest_shift(relu, tanh) < _SAME:
        raise ValueError(
            "build_model(activation) puts the activation it is given into the model. Received the "
            "same Fisher spectra with relu and with tanh, so it ignores its argument. Pass it on, "
            "for example: lambda activation: LeNet5(activation=activation)."
        )


def probe_many(
    build_model,
    pool,
    ids,
    x,
    y,
    store,
    *,
    seed=0,
    mode="exact",
    autoinit=False,
    workers=1,
    progress=None,
):
    """Probe functions of a pool and keep the results in a store.

    Functions in the store are skipped. Results are written a few at a time, so that a kill
    loses little, and an interrupt nothing.

    With `workers` other than 1 the work goes to joblib: to processes on this machine, or to the
    cluster that a `joblib.parallel_config` around the call names. With Dask (`pip install
    keras-actfn[dask]`; workers of one thread each):

    ```python
    client = dask.distributed.Client("scheduler:8786")
    with joblib.parallel_config("dask"):
        probe_many(build_model, pool, ids, x, None, store, workers=-1)
    ```

    With Ray (`keras-actfn[ray]`), whose joblib backend returns lists only, so that results are
    kept after each round of four functions a process:

    ```python
    ray.init("auto")
    register_ray()  # from ray.util.joblib
    with joblib.parallel_config("ray"):
        probe_many(build_model, pool, ids, x, None, store, workers=-1)
    ```

    Args:
        build_model: See `probe`; with several workers it must be picklable by cloudpickle, as
            functions and lambdas are.
        pool: A `Pool`.
        ids: Numbers of functions.
        x: Inputs to compute spectra on.
        y: Their labels, or None.
        store: A `FeatureStore`.
        seed: See `probe`.
        mode: As in `fisher_spectrum`.
        autoinit: See `probe`.
        workers: Processes; −1 for one a core.
        progress: Called with the numbers of functions done and to do, after each.

    Returns:
        How many functions were probed.

    Raises:
        ValueError: If joblib is set to threads or forks, or workers run another backend.
        Exception: See `probe`.
    """
    present = store.ids()
    missing = [number for number in dict.fromkeys(map(int, ids)) if number not in present]
    backend = keras.backend.backend()
    options = {"seed": seed, "mode": mode, "autoinit": autoinit}
    tasks = (
        (build_model, pool.expression(number).name, x, y, options, number, backend, i > 0)
        for i, number in enumerate(missing)
    )
    if workers == 1 or len(missing) < 2:
        results = (_task(*task) for task in tasks)
    else:
        results = _distributed(tasks, workers)
    done = 0
    with _Shards(store) as shards:
        for result in results:
            shards.add(result)
            done += 1
            if progress is not None:
                progress(done, len(missing))
    return done


def _distributed(tasks, workers):
    joblib = require("joblib", extra="search")
    active, _ = joblib.parallel.get_active_backend()
    forks = type(active) is joblib.parallel.MultiprocessingBackend
    if forks or getattr(active, "supports_sharedmem", False):
        raise ValueError(
            "Spectra are computed by processes that are no forks, since a backend that is imported "
            f"does not survive one. Received joblib's {type(active).__name__}. Use its default, "
            "'loky', or 'dask' or 'ray'."
        )
    jobs = (joblib.delayed(_task)(*task) for task in tasks)
    if not active.supports_return_generator:
        return _in_rounds(joblib, jobs, workers)
    parallel = joblib.Parallel(
        n_jobs=workers, return_as="generator_unordered", pre_dispatch="3*n_jobs", batch_size=1
    )
    return parallel(jobs)


def _in_rounds(joblib, jobs, workers):
    """The results of a joblib backend that returns lists only, a few for each process at a time."""
    with joblib.Parallel(n_jobs=workers, batch_size=1) as parallel:
        size = 4 * joblib.effective_n_jobs(workers)
        while some := list(itertools.islice(jobs, size)):
            yield from parallel(some)


def _task(build_model, text, x, y, options, number, backend, quiet):
    """Probe one function, in whatever process; `quiet` as the first one has warned already."""
    if keras.backend.backend() != backend:
        raise ValueError(
            f"Workers compute on the backend of the search, '{backend}'. Received a worker with "
            f"'{keras.backend.backend()}'. Start workers with KERAS_BACKEND={backend}."
        )
    with warnings.catch_warnings():
        if quiet:
            warnings.filterwarnings("ignore", "The Fisher spectrum leaves out")
        return probe(build_model, text, x, y, number=number, **options)


class _Shards:
    """Collects results and writes them to a store in small groups, the last one in any case."""

    def __init__(self, store):
        self._store = store
        self._results = []
        self._written = time.monotonic()

    def __enter__(self):
        return self

    def add(self, result):
        self._results.append(result)
        late = time.monotonic() - self._written > SHARD_SECONDS
        if late or len(self._results) >= SHARD_RESULTS:
            self._write()

    def __exit__(self, *error):
        self._write()

    def _write(self):
        results, self._results = self._results, []
        self._store.append(results)
        self._written = time.monotonic()


def _start(build_model, text, x, seed, autoinit):
    """A new model with the initial weights of a seed."""
    with seeds_drawn_from(seed):
        model = build_model(text)
    if autoinit:
        arrays = keras.tree.flatten(x)
        scale_weights(
            model,
            input_mean=float(np.mean(arrays[0])),
            input_variance=float(np.var(arrays[0])),
        )
    return model


def _problem(spectrum):
    """Why a spectrum cannot be used, or None."""
    for position, block in enumerate(spectrum.blocks, 1):
        if block.problem:
            return f"layer {position}: {block.problem}"
    return None if spectrum.blocks else "no layer has a spectrum"


def _largest_shift(a, b, bins=1000):
    """How far log-eigenvalues move on average, in the layer where they move most."""
    return max(
        np.abs(a.cdf(i, bins) - b.cdf(i, bins)).sum() * 200.0 / bins for i in range(len(a.blocks))
    )


def _tensor(array):
    array = np.asarray(array)
    return keras.ops.convert_to_tensor(
        array, dtype=keras.backend.floatx() if array.dtype.kind == "f" else None
    )
