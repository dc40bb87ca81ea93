"""What `keras.ops` lacks, in one thin module per backend with the same functions.

The modules `tensorflow`, `jax` and `torch` define the same names with the same meaning and, in
float32, the same numbers to 1e-5 relative. The rest of the package calls `keras.ops` first and
this package only for what is missing there.

`custom_gradient(forward, backward, x, *parameters)` is the mechanism of every activation layer:
`forward(x, *parameters)` is a function of tensors that is elementwise in x, and
`backward(gradient, x, *parameters)` returns the gradients to x and to each parameter, given the
gradient to the output; where it is None, the backend differentiates `forward`. The first axis of
x is the batch, and parameters broadcast against the axes behind it; either function may be called
on slices of the batch, the parameters' gradients being summed over them. Only x and the
parameters are kept for the backward pass. With `sums`, what `backward` returns behind the
gradient to x is elementwise as well, and `sums(*that, *parameters)` returns the gradients to the
parameters.
(`keras.ops.custom_gradient` passes the gradient differently on each backend, takes one tensor
output on PyTorch only, and hides errors there.)

`keeping(forward, backward, x)` is for many backward passes after one forward pass: what
`forward` returns beside its output is kept, and shortens them.
"""

from ._load import BACKENDS, backend
from .piecewise import piecewise_linear

__all__ = [
    "BACKENDS",
    "GradientTaps",
    "bessel_i0e",
    "bessel_i1e",
    "compiled",
    "custom_gradient",
    "divide",
    "elementwise",
    "elu",
    "keeping",
    "piecewise_linear",
    "pointwise",
    "selu",
    "tanh",
    "vector_jacobian_product",
]

bessel_i0e = backend.bessel_i0e
bessel_i1e = backend.bessel_i1e
GradientTaps = backend.GradientTaps
compiled = backend.compiled
custom_gradient = backend.custom_gradient
divide = backend.divide
elu = backend.elu
keeping = backend.keeping
pointwise = backend.pointwise
selu = backend.selu
tanh = backend.tanh
vector_jacobian_product = backend.vector_jacobian_product


def elementwise(function, x, *parameters):
    """`function(x, *parameters)` that keeps x only and recomputes the rest in its gradient.

    Args:
        function: Differentiable function of tensors, elementwise in x; see the package's
            docstring for how parameters broadcast.
        x: Float tensor with the batch first.
        *parameters: Float tensors.

    Returns:
        Tensor of the shape and dtype of x.
    """
    return custom_gradient(function, None, x, *parameters)
