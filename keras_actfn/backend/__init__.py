"""What `keras.ops` lacks, in one thin module per backend with the same functions.

The modules `tensorflow`, `jax` and `torch` define the names of `protocol.Backend`. The rest
of the package calls `keras.ops` first and this package only for what is missing there.

`custom_gradient` is the mechanism of every activation layer; see `elementwise`.
(`keras.ops.custom_gradient` passes the gradient differently on each backend, takes one tensor
output on PyTorch only, hides errors there, and rules forward mode out on JAX.)

`keeping(forward, backward, x)` is for many backward passes after one forward pass: what
`forward` returns beside its output is kept, and shortens them.
"""

from ._load import BACKENDS, backend
from .elementwise import custom_gradient, elementwise
from .piecewise import piecewise_linear
from .splines import cubic_spline

__all__ = [
    "BACKENDS",
    "INDEX_DTYPE",
    "GradientTaps",
    "bessel_i0e",
    "bessel_i1e",
    "compiled",
    "cubic_spline",
    "custom_gradient",
    "divide",
    "elementwise",
    "elu",
    "keeping",
    "knot_sums",
    "known_nonzero",
    "on_host",
    "piecewise_linear",
    "pointwise",
    "power",
    "reverse_first",
    "selu",
    "tanh",
    "value_and_slopes",
    "vector_jacobian_product",
]

bessel_i0e = backend.bessel_i0e
bessel_i1e = backend.bessel_i1e
INDEX_DTYPE = backend.INDEX_DTYPE
GradientTaps = backend.GradientTaps
compiled = backend.compiled
divide = backend.divide
elu = backend.elu
keeping = backend.keeping
knot_sums = backend.knot_sums
known_nonzero = backend.known_nonzero
on_host = backend.on_host
pointwise = backend.pointwise
power = backend.power
reverse_first = backend.reverse_first
selu = backend.selu
tanh = backend.tanh
value_and_slopes = backend.value_and_slopes
vector_jacobian_product = backend.vector_jacobian_product
