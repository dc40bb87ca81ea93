"""Other activations in existing models, weights kept.

`find_activations` lists where a model has activations, `replace_activations` gives a new
model with others, `set_activation_trainable` switches their learning, and
`freeze_activations` fixes what was learned for serving. `compile_activations` turns them into
few linear segments, which `export_int8` and `write_c` give to chips; `replacement_report` into
the nearest formulas.
"""

from .compile import Compiled, CompiledSite, compile_activations
from .formulas import ReplacedSite, ReplacementReport, replacement_report
from .freeze import freeze_activations, set_activation_trainable
from .int8 import DenseSegments, export_int8, with_dense_segments
from .replace import replace_activations, select
from .sites import ActivationSite, find_activations
from .tables import Quantization, int8_table, quantizations, write_c

__all__ = [
    "ActivationSite",
    "Compiled",
    "CompiledSite",
    "DenseSegments",
    "Quantization",
    "ReplacedSite",
    "ReplacementReport",
    "compile_activations",
    "export_int8",
    "find_activations",
    "freeze_activations",
    "int8_table",
    "quantizations",
    "replace_activations",
    "replacement_report",
    "select",
    "set_activation_trainable",
    "with_dense_segments",
    "write_c",
]
