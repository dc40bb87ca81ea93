"""The kfac-jax engine: an adapter to `kfac_jax.BlockDiagonalCurvature`.

It exists to compare with an independent implementation, and accepts only the layers for which
kfac-jax 0.0.8 was found to give the Kronecker block: Dense on vectors and Conv2D (any stride
and padding, one group, no dilation, channels last), each used once. For other kinds kfac-jax
falls back to a diagonal block or, for dilated convolutions, is silently wrong; these are
refused. Only the treated layers' weights are differentiated: kfac-jax raises at normalisation
scales otherwise.

Scaling: for a convolution kfac-jax averages both factors over batch and locations and scales
the block by T; here the T is put into Ω. Its empirical mode has an extra 1/N, undone here. Its
own random labels depend on JAX's generator, so `"sampled"` draws the native engine's labels
and uses the empirical mode with them.
"""

import contextlib
import importlib.metadata
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from .._optional import require
from ..models.objective import mask_of
from .block_spectrum import BlockSpectrum
from .distributions import Bernoulli, Categorical, Normal
from .factors import Pair
from .losses import distribution_of
from .spectrum import FisherSpectrum
from .tapping import TappedLayers, build_all_layers
from .treatments import ConvolutionTreatment, DenseTreatment

if TYPE_CHECKING:
    from .native import Request

_USE_NATIVE = "Use engine='native'."

#: How each distribution is told to kfac-jax.
_REGISTER = {
    Categorical: lambda kfac_jax, z, y: kfac_jax.register_softmax_cross_entropy_loss(z, y),
    Bernoulli: lambda kfac_jax, z, y: kfac_jax.register_sigmoid_cross_entropy_loss(z, y),
    Normal: lambda kfac_jax, z, y: kfac_jax.register_squared_error_loss(z, y, weight=0.5),
}


def kfac_jax_spectrum(model: keras.Model, x: Any, y: Any, request: "Request") -> FisherSpectrum:
    """Compute the spectrum with kfac-jax; see `fisher_spectrum`.

    Raises:
        ImportError: If kfac-jax is missing, or the installed JAX is one that it breaks on.
        ValueError: If Keras does not run on JAX, or the model has a layer that kfac-jax gets
            wrong.
    """
    estimate = KfacJax(model, x, y, request)
    start = time.perf_counter()
    estimate.update()
    middle = time.perf_counter()
    spectrum = estimate.spectrum()
    spectrum.timings.update({"update": middle - start, "eigenvalues": time.perf_counter() - middle})
    return spectrum


class KfacJax:
    """A kfac-jax estimator for one model and batch; `update` compiles at its first call.

    Args:
        model: A built Keras model.
        x: Inputs, an array.
        y: Labels or `None`.
        request: The settings of `fisher_spectrum`.
    """

    def __init__(self, model: keras.Model, x: Any, y: Any, request: "Request"):
        kfac_jax = require_kfac_jax()
        import jax

        if request.options or request.training:
            raise ValueError(
                "engine='kfac_jax' has no blocks for normalisation or activation parameters and "
                f"no training mode. {_USE_NATIVE}"
            )
        if request.sample_weight is not None or request.class_weight is not None:
            raise ValueError(f"engine='kfac_jax' takes no weights. {_USE_NATIVE}")
        self._request, self._samples = request, len(x)
        build_all_layers(model, x)
        self._tapped = TappedLayers(model)
        treatments = accepted(self._tapped)
        self._values = {
            treatment.name: [w.value for w in (layer.kernel, layer.bias) if w is not None]
            for layer, treatment in treatments
        }
        variables = {
            treatment.name: [w for w in (layer.kernel, layer.bias) if w is not None]
            for layer, treatment in treatments
        }
        seen: dict[str, Any] = {}

        def logits(values, x):
            state = [
                pair
                for name, own in values.items()
                for pair in zip(variables[name], own, strict=True)
            ]
            output, recorder = self._tapped.run(model, x, state=state)
            final = recorder.final(output)
            distribution = distribution_of(model, request.loss, final)
            seen.update(uses=recorder.uses, distribution=distribution, mask=mask_of(output))
            return distribution.logits_of(output, final)

        x = jax.numpy.asarray(x)
        z = np.asarray(logits(self._values, x))
        self.distribution = distribution = seen["distribution"]
        if distribution.options or seen["mask"] is not None:
            raise ValueError(
                "engine='kfac_jax' takes losses without options and outputs without a mask. "
                f"Received: {distribution.options or 'a mask'}. {_USE_NATIVE}"
            )
        register = _REGISTER[type(distribution)]
        self._blocks = [block for blocks, _ in seen["uses"] for block in blocks]
        if len({id(b) for b in self._blocks}) < len(self._blocks):
            raise ValueError(f"kfac-jax has no Kronecker block for a shared layer. {_USE_NATIVE}")
        self._ranks = {b.name: len(s) for (b,), s in seen["uses"]}
        flat = [t.name for layer, t in treatments if isinstance(t, DenseTreatment)]
        if any(self._ranks[name] != 2 for name in flat if name in self._ranks):
            raise ValueError(
                f"kfac-jax's block for Dense on sequences is not the native one. {_USE_NATIVE}"
            )
        if z.ndim != 2:
            raise ValueError(f"engine='kfac_jax' needs an output of shape (N, C). {_USE_NATIVE}")
        if request.mode == "empirical":
            labels = distribution.labels(y, z.shape)
        else:
            generator = np.random.default_rng(request.seed)
            labels = distribution.draw(distribution.mean(z), generator)
        if isinstance(distribution, Categorical):
            if not np.isin(labels, (0.0, 1.0)).all():
                raise ValueError(f"kfac-jax takes whole labels, not shares. {_USE_NATIVE}")
            labels = labels.argmax(axis=-1)
        else:
            labels = labels.astype(z.dtype)

        def loss(values, batch):
            inputs, labels = batch
            z = logits(values, inputs)
            register(kfac_jax, z, labels)
            return z.sum()

        modes = {"exact": "fisher_exact", "ggn": "ggn_exact"}
        self._mode = modes.get(request.mode, "fisher_empirical")
        self._arguments = (self._values, (x, jax.numpy.asarray(labels)))
        self._estimator = kfac_jax.BlockDiagonalCurvature(loss)
        self._key = jax.random.PRNGKey(0)
        self._initial = self._estimator.init(self._key, self._arguments, None, None)
        self._step = jax.jit(self._update)
        self._state: Any = None

    def _update(self, state, arguments):
        return self._estimator.update_curvature_matrix_estimate(
            state,
            ema_old=0.0,
            ema_new=1.0,
            identity_weight=0.0,
            batch_size=self._samples,
            rng=self._key,
            func_args=arguments,
            estimation_mode=self._mode,
        )

    def update(self) -> None:
        """Compute the factors."""
        import jax

        self._state = jax.block_until_ready(self._step(self._initial, self._arguments))

    def factors(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return Ω and Γ of each layer, in this package's scaling (the bias comes last)."""
        import kfac_jax

        names = self._estimator.params_block_index
        result = {}
        extra = self._samples if self._mode == "fisher_empirical" else 1
        for name, index in names.items():
            block = self._estimator.blocks[index[0]]
            kinds = (kfac_jax.DenseTwoKroneckerFactored, kfac_jax.Conv2DTwoKroneckerFactored)
            if not isinstance(block, kinds) or isinstance(
                block, kfac_jax.RepeatedDenseKroneckerFactored
            ):
                raise ValueError(
                    f"kfac-jax made a {type(block).__name__} block for layer '{name}', not a "
                    f"Kronecker one. {_USE_NATIVE}"
                )
            omega, gamma = (f.value for f in self._state.blocks_states[index[0]].factors)
            omega = np.asarray(omega, np.float64) * float(block.fixed_scale())
            result[name] = omega, np.asarray(gamma, np.float64) * extra
        return result

    def spectrum(self) -> FisherSpectrum:
        """Return the spectrum of the computed factors."""
        factors = self.factors()
        blocks = []
        for block in self._blocks:
            pair = Pair(
                *(
                    np.linalg.eigvalsh(m) if np.isfinite(m).all() else np.full(len(m), np.nan)
                    for m in factors[block.name]
                )
            )
            blocks.append(BlockSpectrum.from_raw(block.name, block.parameters, [pair]))
        settings = self._request.settings("kfac_jax", self.distribution, self._samples)
        return FisherSpectrum(blocks, {}, self._tapped.excluded, settings)


def require_kfac_jax() -> ModuleType:
    """Return the module, or say what is missing.

    Raises:
        ImportError: If kfac-jax is not installed, or JAX is too new for it.
        ValueError: If Keras does not run on JAX.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "engine='kfac_jax' needs the Keras backend JAX; this is "
            f"'{keras.backend.backend()}'. Set KERAS_BACKEND=jax, or use engine='native'."
        )
    version = tuple(int(part) for part in importlib.metadata.version("jax").split(".")[:3])
    if not (0, 9, 0) <= version < (0, 9, 2):
        raise ImportError(
            "kfac-jax 0.0.8 works with JAX 0.9.0 and 0.9.1 (later ones lack get_bind_params); "
            f"installed is JAX {'.'.join(map(str, version))}. Install it with: "
            "pip install \"keras-actfn[kfac]\", or use engine='native'."
        )
    with _without_tensorflow():
        return require("kfac_jax", extra="kfac")


@contextlib.contextmanager
def _without_tensorflow():
    """Let `tensorflow` look not imported.

    kfac-jax imports TensorFlow Probability, which demands the package tf-keras if it finds
    that TensorFlow is loaded, although its JAX part needs neither.
    """
    loaded = sys.modules.get("tensorflow")
    if loaded is None:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules["tensorflow"] = None
    try:
        yield
    finally:
        sys.modules["tensorflow"] = loaded


def accepted(tapped: TappedLayers) -> list:
    """Return the weighted layers, if kfac-jax is right about all of them.

    Raises:
        ValueError: If it is not, with every layer and the reason.
    """
    problems, treatments = dict(tapped.uncovered), []
    for layer, treatment in tapped.treatments:
        if not treatment.blocks:
            continue
        if isinstance(treatment, ConvolutionTreatment):
            reason = _convolution_problem(layer)
        elif isinstance(treatment, DenseTreatment):
            reason = None
        else:
            reason = f"kfac-jax has no Kronecker block for a {type(layer).__name__}"
        if reason:
            problems[treatment.name] = reason
        treatments.append((layer, treatment))
    if problems:
        listed = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
        raise ValueError(f"engine='kfac_jax' cannot treat this model ({listed}). {_USE_NATIVE}")
    return treatments


def _convolution_problem(layer):
    if len(layer.kernel_size) != 2:
        return "kfac-jax has Kronecker blocks for two-dimensional convolutions only"
    if layer.groups != 1:
        return "kfac-jax treats grouped convolutions by a diagonal block"
    if any(d != 1 for d in layer.dilation_rate):
        return "kfac-jax is wrong about dilated convolutions"
    if layer.data_format != "channels_last":
        return "kfac-jax was not checked with channels first"
    return None
