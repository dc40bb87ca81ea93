"""What happens around the first `import keras`: before it, and right after it.

`import keras_actfn` leaves Keras alone, so that the command line answers at once. But Keras must
know this package's classes when it reads a saved model. So the moment Keras is imported, each class
of `CLASSES` is registered under its name as a `DeferredClass`, which imports the class itself when
a saved model asks for it. Importing the class's module replaces the deferred one.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Registered classes by the module of this package that has them.
CLASSES = {
    "applications.local_response_normalization": ("LocalResponseNormalization",),
    "applications.patches": ("FoldPatches", "ResizeToMultiple", "UnfoldPatches"),
    "applications.relative_attention": ("RelativeAttention",),
    "applications.separable_attention": ("AttentionContext",),
    "applications.transformer_common": ("AddPositions", "PrependTokens", "SelfAttention"),
    "constraints": ("AnchoredUnitNorm", "Simplex", "UnitSum"),
    "expressions.expression": ("Expression", "_Evaluate"),
    "expressions.resolve": ("NamedFunction",),
    "finetuning.distillation": ("Distillation",),
    "finetuning.preference": (
        "DirectPreferenceOptimization",
        "LinearWarmup",
        "SupervisedFineTuning",
    ),
    "layers": (
        "ACON",
        "AffineHullActivation",
        "CRReLU",
        "ConvexHullActivation",
        "DynamicTanh",
        "ExpressionActivation",
        "PWL",
        "Rational",
        "ScaledActivation",
        "SegmentedLinear",
        "Spline",
        "XIELU",
    ),
    "search.benchmarks.task": ("WarmUpAndDecay",),
    "surgery.int8": ("DenseSegments",),
    "training.augmentation": ("RandomPaddedCrop", "RandomResizedCrop"),
    "training.grouped_optimizer": ("GroupedOptimizer", "VariableGroups"),
    "training.optimizers": ("CoupledSGD",),
    "training.regressor": ("MeanAbsoluteErrorInUnits", "RootMeanSquaredErrorInUnits"),
    "training.schedules": ("FrozenUntil", "LinearWarmUpAndDecay"),
}


class DeferredClass:
    """Stands for a registered class until a saved model needs it.

    Args:
        module: Dotted name of the module, within this package.
        name: The class's name.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def from_config(self) -> Callable[..., Any]:
        """The class's own `from_config`."""
        module = importlib.import_module(f".{self.module}", __package__)
        return getattr(module, self.name).from_config

    def __repr__(self) -> str:
        return f"<keras_actfn.{self.module}.{self.name}, imported when needed>"


class _KerasFinder(MetaPathFinder):
    """Finds Keras as usual, and runs functions before and after its import."""

    def __init__(self) -> None:
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self._looking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of Keras whose loader runs the functions; None for any other module."""
        if fullname != "keras" or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec("keras")
        finally:
            self._looking = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            for function in self.before:
                function()
            execute(module)
            for function in self.after:
                function()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_FINDER = _KerasFinder()


def before_keras(function: Callable[[], None]) -> None:
    """Call `function` when Keras is about to be imported; never if it is there already."""
    if function not in _FINDER.before:
        _FINDER.before.append(function)


def register_deferred_classes() -> None:
    """Register each class of `CLASSES`, now or as soon as Keras is imported."""
    if "keras" in sys.modules:
        _register()
    elif _FINDER not in sys.meta_path:
        _FINDER.after.append(_register)
        sys.meta_path.insert(0, _FINDER)


def _register() -> None:
    keras = sys.modules["keras"]
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registered_name = f"keras_actfn>{name.removeprefix('_')}"
            known.setdefault(registered_name, DeferredClass(module, name))
