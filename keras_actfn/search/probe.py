"""The Fisher spectrum of a model at initialisation with one activation function.

Each function gets the same initial weights and the same batch. What is cheap comes first: the
function's values on [-5, 5], then output and gradient of the network on a few examples, then
the spectrum. A function that fails is a result with its reason; such functions are filtered
(Bingham and Miikkulainen 2023, appendix C). An error that ReLU has as well is not the
function's and is raised.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..backend import GradientTaps
from ..expressions import serialize
from ..fisher import FisherSpectrum, fisher_spectrum
from ..initialization.autoinit import autoinit as scale_weights
from ..models.seeds import seeds_drawn_from
from ..training.data import Arrays
from ..training.fingerprints import key_of, part_fingerprint
from .feature_store import ProbeResult
from .objective import FunctionObjective, TrainingObjective
from .record import default_mode
from .tandem import SEPARATOR, functions_of

#: Where a function must be finite. Zero is left out: as on the sampled inputs of a space,
#: sinh(x)/x counts as finite, and the batch decides.
GRID = np.linspace(-5, 5, 1000, dtype=np.float32)
SCREEN_EXAMPLES = 8
#: A builder ignores its argument if no layer's log-eigenvalues move by this on average.
_SAME = 1e-3
_REFERENCE = "relu(x)"
#: The mode of a probe of a model without a Fisher spectrum.
WITHOUT = "none"


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """How the spectrum of a function is computed: the same for all functions of a search.

    Attributes:
        build_model: Function of an activation's text that returns a new model. Its weights are
            drawn with `seed`, the same for every function.
        x: Inputs to compute spectra on, an array or a nested structure of them.
        y: Their labels, for `mode="empirical"`, or None.
        seed: Seed of the weights, and of labels drawn by `mode="sampled"`.
        mode: As in `keras_actfn.fisher.fisher_spectrum`; or `"none"` for a model that has no
            spectrum, of which only the outputs are looked at.
        autoinit: Whether to scale the weights by `keras_actfn.initialization.autoinit` first.

    Example:
    ```python
    probe = Probe(build_model, x[:16])
    probe.result("swish").cdf.shape  # one bin for every hundred weights of a layer
    ```
    """

    build_model: Callable
    x: Any
    y: np.ndarray | None = None
    seed: int = 0
    mode: str = "exact"
    autoinit: bool = False

    @classmethod
    def of(
        cls,
        objective: TrainingObjective | FunctionObjective,
        model: keras.Model,
        examples: int,
        seed: int,
        mode: str | None = None,
    ) -> "Probe":
        """The probe of a search; spectra are those of the network that is trained.

        Args:
            objective: What the search looks for.
            model: Its model with ReLU.
            examples: Number of examples of the task's training data.
            seed: Seed of the draw and of the weights.
            mode: As in `ActivationSearch`; None: see `default_mode`.
        """
        inputs = objective.inputs(examples, seed)
        probe = cls(
            objective.task.build_model,
            inputs.x,
            inputs.y if isinstance(inputs.y, np.ndarray) else None,
            seed=seed,
            mode=default_mode(model) if mode is None else mode,
            autoinit=objective.recipe is not None and objective.recipe.autoinit,
        )
        if mode is not None or objective.recipe is not None:
            return probe
        few = keras.tree.map_structure(lambda a: a[:2], inputs.x)
        try:
            dataclasses.replace(probe, x=few, y=None).spectrum(probe.built(model))
        except ValueError as error:
            warnings.warn(
                f"The model has no Fisher spectrum: {error} The search goes on with the functions' "
                "outputs alone.",
                stacklevel=3,
            )
            return dataclasses.replace(probe, mode=WITHOUT)
        return probe

    def key(self, record: dict) -> dict:
        """What decides spectra, for JSON; `record` has the space, baselines, model and groups."""
        return {
            **{name: record[name] for name in ("space", "baselines", "model", "groups")},
            "seed": self.seed,
            "batch": key_of({"x": part_fingerprint(Arrays(self.x))}),
            "mode": self.mode,
            "autoinit": self.autoinit,
        }

    def model(self, text: str) -> keras.Model:
        """A new model with the initial weights of the seed."""
        with seeds_drawn_from(self.seed):
            model = self.built(self.build_model(text))
        if self.autoinit:
            arrays = keras.tree.flatten(self.x)
            scale_weights(
                model,
                input_mean=float(np.mean(arrays[0])),
                input_variance=float(np.var(arrays[0])),
            )
        return model

    def built(self, model: keras.Model) -> keras.Model:
        """A model with its weights: one without an input shape is called once."""
        if not model.built:
            model(keras.tree.map_structure(_tensor, self.x))
        return model

    def spectrum(self, model: keras.Model) -> FisherSpectrum:
        """The spectrum of a model on the inputs."""
        y = self.y if self.mode == "empirical" else None
        return fisher_spectrum(model, self.x, y, mode=self.mode, seed=self.seed)

    def result(self, expression: object, number: int = 0) -> ProbeResult:
        """The spectrum with a function, or the reason why it has none.

        Args:
            expression: The function, as `keras_actfn.expressions.resolve` takes it; or several for
                a model with groups of places, see `tandem`.
            number: Number to give the result.

        Raises:
            Exception: Whatever building or running the network raises, if it does so with ReLU
                too.
        """
        functions = functions_of(expression)
        text = SEPARATOR.join(map(serialize, functions))
        if not all(np.isfinite(function(GRID)).all() for function in functions):
            return ProbeResult(number, reason="its values are not finite on [-5, 5]")

        def attempt(text):
            model = self.model(text)
            reason = screen(model, self.x)
            if self.mode == WITHOUT and reason is None:
                return ProbeResult(number, np.zeros(0, np.float32))
            if reason is None:
                spectrum = self.spectrum(model)
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

    def check(self) -> None:
        """Check that the builder's network has a spectrum that depends on its activation.

        It is called with ReLU and with tanh.

        Raises:
            ValueError: If both spectra are the same, have other layers, or neither is valid.
        """
        if self.mode == WITHOUT:
            self._check_outputs()
            return
        relu, tanh = (self.spectrum(self.model(text)) for text in (_REFERENCE, "tanh(x)"))
        problems = _problem(relu), _problem(tanh)
        if all(problems):
            raise ValueError(
                "A search needs a network whose Fisher spectrum at initialisation is finite and "
                f"not zero. Received one with: {problems[0]} (ReLU), {problems[1]} (tanh). Check "
                "that the inputs are finite and the weights trainable."
            )
        sizes = [[block.parameters for block in spectrum.blocks] for spectrum in (relu, tanh)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                "build_model changes nothing but the activation: layers have as many weights with "
                f"one as with another. Received: {sizes[0]} with ReLU and {sizes[1]} with tanh."
            )
        if not any(problems) and _largest_shift(relu, tanh) < _SAME:
            raise ValueError(
                "build_model(activation) puts the activation it is given into the model. Received "
                "the same Fisher spectra with relu and with tanh, so it ignores its argument. Pass "
                "it on, for example: lambda activation: LeNet5(activation=activation)."
            )

    def _check_outputs(self):
        """Check that the builder's network depends on its activation, by its outputs."""
        x = keras.tree.map_structure(_tensor, self.x)
        relu, tanh = (_outputs(self.model(text), x) for text in (_REFERENCE, "tanh(x)"))
        if all(np.array_equal(*pair, equal_nan=True) for pair in zip(relu, tanh, strict=True)):
            raise ValueError(
                "build_model(activation) puts the activation it is given into the model. Received "
                "the same outputs with relu and with tanh, so it ignores its argument. Pass it on, "
                "for example: lambda activation: LeNet5(activation=activation)."
            )


def screen(model: keras.Model, x: Any) -> str | None:
    """Whether a model's output, and its gradient by the inputs, are finite on a few examples.

    Of models on integers (token numbers) and of those with several outputs only the outputs are
    looked at.

    Args:
        model: A built model.
        x: A batch of inputs. The first `SCREEN_EXAMPLES` are used; on JAX, which would compile
            every operation for this size too, all of them.

    Returns:
        None, or what is not finite.
    """
    count = None if keras.backend.backend() == "jax" else SCREEN_EXAMPLES
    x = keras.tree.map_structure(lambda a: _tensor(a[:count]), x)
    if len(getattr(model, "outputs", None) or (0,)) != 1:
        finite = all(np.isfinite(output).all() for output in _outputs(model, x))
        return None if finite else "the network's output is not finite"
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


def _outputs(model, x):
    """The outputs of a model in NumPy arrays."""
    outputs = keras.tree.flatten(model(x, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


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
