"""The functions of `keras_actfn.backend` on PyTorch."""

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import keras
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from . import _torch_fusion as fusion
from . import _torch_knots, _torch_taps

#: What `scatter_add_` takes.
INDEX_DTYPE = "int64"

#: Elements of a tile on a CPU: the temporaries of an elementwise chain then stay in the cache.
_TILE = 1 << 18


def custom_gradient(
    forward: Callable[..., torch.Tensor],
    backward: Callable[..., Iterable[torch.Tensor]] | None,
    x: torch.Tensor,
    *parameters: torch.Tensor,
    sums: Callable[..., Iterable[torch.Tensor]] | None = None,
    in_place: tuple[Callable, Callable] | None = None,
) -> torch.Tensor:
    """`forward(x, *parameters)` with `backward` for its gradient; see `elementwise`.

    On a CPU large tensors go through compiled loops (see `_torch_fusion`), others slice by
    slice of the batch. Under `torch.compile` and every export the plain `forward` is traced:
    the compiler fuses and rematerialises by itself.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _in_forward_mode():
        as_one = None if _in_forward_mode() else getattr(in_place, "traced", None)
        output = as_one(x, *parameters) if as_one else None
        return forward(x, *parameters) if output is None else output
    return _Recomputing.apply(_Rules(forward, backward, sums, in_place), x, *parameters)


def _in_forward_mode():
    """Whether directional derivatives are carried along, which no function of our own may lose."""
    return forward_ad._current_level >= 0


def _transformed(tensor):
    """Whether tensors may stand for batches or carry derivatives, which writing would lose."""
    if _in_forward_mode() or torch._C._are_functorch_transforms_active():
        return True
    return torch._C._functorch.is_legacy_batchedtensor(tensor)  # as `is_grads_batched` makes them


def selects(x: torch.Tensor) -> bool:
    """Whether compiled functions look up by selects: on a CPU, if nothing differentiates them.

    On a GPU a small table stays in the cache next to the threads.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def known_nonzero(x: torch.Tensor) -> bool:
    """Whether no entry of x is 0, as far as x is a tensor of numbers on a CPU."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or _transformed(x)
    if traced or x.device.type != "cpu" or is_in_torch_dispatch_mode():
        return False
    return bool(x.all())


def vector_jacobian_product(
    function: Callable[..., torch.Tensor],
    gradient: torch.Tensor,
    x: torch.Tensor,
    *parameters: torch.Tensor,
) -> Sequence[torch.Tensor]:
    """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""
    return _differentiated(function, gradient, x, *parameters)[1]


def value_and_slopes(
    function: Callable[..., torch.Tensor], *arguments: torch.Tensor
) -> tuple[torch.Tensor, Iterable[torch.Tensor]]:
    """The value of an elementwise function and its partial derivative in each argument."""
    one = torch.ones_like(arguments[0])
    if _transformed(arguments[0]):
        output, pull_back = torch.func.vjp(function, *arguments)
        return output, pull_back(one)
    if not torch.is_grad_enabled() or not any(a.requires_grad for a in arguments):
        with _no_hooks():
            return _differentiated(function, one, *arguments)
    # Views, so that no argument is found on another one's way.
    apart = [a.view_as(a) if a.requires_grad else a.detach().requires_grad_() for a in arguments]
    output = function(*apart)
    if not output.requires_grad:  # the function is constant
        return output, [torch.zeros_like(each) for each in apart]
    options = {"create_graph": True, "materialize_grads": True}
    return output, torch.autograd.grad(output, apart, one, **options)


def _no_hooks():
    """Keep a checkpoint's hooks away, which would run the whole of its function again."""
    if torch._C._autograd._saved_tensors_hooks_get_disabled_error_message() is not None:
        return contextlib.nullcontext()  # `torch.func` allows none
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)


def _differentiated(function, gradient, *sources):
    """`function(*sources)`, and its vector-Jacobian product, neither to be differentiated."""
    with torch.enable_grad():
        sources = tuple(source.detach().requires_grad_() for source in sources)
        output = function(*sources)
    if not output.requires_grad:  # the function is constant
        return output, [torch.zeros_like(source) for source in sources]
    gradients = torch.autograd.grad(output, sources, gradient, allow_unused=True)
    return output.detach(), [
        torch.zeros_like(source) if gradient is None else gradient
        for source, gradient in zip(sources, gradients, strict=True)
    ]


in_place_interpolation = _torch_knots.in_place_interpolation
in_place_spline = _torch_knots.in_place_spline
knot_sums = _torch_knots.knot_sums


def reverse_first(function: Callable, pull_back: Callable) -> tuple[Callable, Callable]:
    """`function` and its gradient in reverse mode, or by `pull_back` where that is not finite.

    Operations run one by one: from the inside out, a slope takes up to twice as many. Off the
    CPU, where to look at a result is to wait for it, `pull_back` it is.
    """
    return function, functools.partial(_reverse_first, function, pull_back)


def _reverse_first(function, pull_back, gradient, x):
    if x.device.type != "cpu":
        return pull_back(gradient, x)
    to_x = vector_jacobian_product(function, gradient, x)
    return to_x if bool(torch.isfinite(to_x[0]).all()) else pull_back(gradient, x)


@dataclass(frozen=True)
class _Rules:
    """The functions given to `custom_gradient`."""

    forward: Callable
    backward: Callable | None
    sums: Callable | None
    in_place: tuple[Callable, Callable] | None

    def by_kernel(self, name, x, parameters, *arrays):
        """What a kernel for the device of x returns, or None; see `_torch_knots.InPlace`."""
        on_cuda = getattr(self.in_place, "on_cuda", None)
        kernels = on_cuda and on_cuda(x, *parameters)
        return kernels and getattr(kernels, name)(*arrays, x, *parameters)

    def gradients(self, gradient, x, *parameters):
        """Gradients to x and the parameters, in differentiable operations."""
        if self.backward is None:
            return torch.func.vjp(self.forward, x, *parameters)[1](gradient)
        to_x, *rest = self.backward(gradient, x, *parameters)
        return (to_x, *(rest if self.sums is None else self.sums(*rest, *parameters)))


class _Recomputing(torch.autograd.Function):
    """A function with its own gradient, of which only the arguments are kept.

    Where a derivative of the gradient may be wanted, and under the transforms of `torch.func`,
    it runs in differentiable operations, else as fast as it goes.
    """

    @staticmethod
    def forward(rules, x, *parameters):
        output = rules.by_kernel("forward", x, parameters)
        if output is not None:
            return output
        run = rules.in_place[0] if rules.in_place else rules.forward
        (output,) = _evaluate(rules.forward, run, (x,), parameters)
        return output

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.rules, *arguments = inputs
        ctx.save_for_backward(*arguments)

    @staticmethod
    def backward(ctx, gradient):
        rules, (x, *parameters) = ctx.rules, ctx.saved_tensors
        if torch.is_grad_enabled() or _transformed(gradient):
            return None, *rules.gradients(gradient, x, *parameters)
        gradients = rules.by_kernel("backward", x, parameters, gradient)
        if gradients is not None:
            return None, *gradients
        function = rules.backward or functools.partial(vector_jacobian_product, rules.forward)
        run = rules.in_place[1] if rules.in_place else function
        return None, *_evaluate(function, run, (gradient, x), parameters, rules.sums)

    @staticmethod
    def vmap(info, axes, rules, x, *parameters):
        if any(axis is not None for axis in axes[2:]):
            return torch.vmap(rules.forward, axes[1:])(x, *parameters), 0
        x = x.movedim(axes[1], 0)  # f is elementwise: all batches are one
        return _Recomputing.apply(rules, x.flatten(0, 1), *parameters).reshape(x.shape), 0


#: `apply` asks for it at each call, and takes a third of its time to find it out.
_Recomputing.forward.__dict__["__signature__"] = inspect.signature(_Recomputing.forward)


def _evaluate(function, run, arrays, parameters, sums=None):
    """`function(*arrays, *parameters)` as a list, slice by slice where that is faster.

    What follows the first result is added up over the slices, after `sums` where given.

    Args:
        function: What is compiled.
        run: The same function for where nothing is compiled.
        arrays: Tensors of one shape.
        parameters: Further arguments.
        sums: See `custom_gradient`.
    """
    # What is compiled for tensors with gradients would be compiled again for those without.
    arrays, parameters = ([each.detach() for each in some] for some in (arrays, parameters))
    output = torch.empty_like(arrays[-1])
    if not fusion.in_slices(output):
        return _evaluate_whole(function, run, output, arrays, parameters, sums)
    tensors, write = (output, *arrays), None
    if fusion.worthwhile(output, parameters):
        slices = fusion.slices(tensors, whole=sums is None)
        first = next(slices)
        write = fusion.compiled(function, first, parameters)
        slices = itertools.chain([first], slices)
        del first
    if write is None:
        write = fusion.into(run)
        slices = ([tensor[tile] for tensor in tensors] for tile in _tiles(output))
    parts = []
    for some in slices:
        rest = write(*some, *parameters)
        parts.append(rest if sums is None else sums(*rest, *parameters))
    return [output, *(sum(each) for each in zip(*parts, strict=True))]


def _evaluate_whole(function, run, output, arrays, parameters, sums):
    """The same off the CPU: one kernel for all, if it is compiled."""
    tensors, write, in_parts = [output, *arrays], None, None
    if sums is not None:
        function, run = (functools.partial(_with_sums, each, sums) for each in (function, run))
    if fusion.worthwhile(output, parameters):
        if len(arrays) > 1 and parameters and sums is None:
            in_parts = fusion.in_parts(tensors, parameters)
        if in_parts is not None:
            some, row = in_parts
        elif fusion.shared(output, parameters):
            some, row = next(fusion.slices(tensors, whole=True)), list(parameters)
        else:
            some, row = tensors, list(parameters)
        write = fusion.compiled(function, some, row, any_size=in_parts is not None)
    if write is None:
        return [output, *fusion.into(run)(*tensors, *parameters)]
    rest = write(*some, *row)
    if in_parts is not None:
        rest = [
            each.sum(0).reshape(parameter.shape)
            for each, parameter in zip(rest, parameters, strict=True)
        ]
    return [output, *rest]


def _with_sums(function, sums, gradient, x, *parameters):
    to_x, *rest = function(gradient, x, *parameters)
    return to_x, *sums(*rest, *parameters)


def _tiles(x):
    """Slices of the first axis of about `_TILE` elements each; one slice off the CPU."""
    count = x.shape[0] if x.ndim else 1
    if x.device.type != "cpu" or type(x) is not torch.Tensor or x.numel() <= _TILE:
        return [slice(None)]
    step = max(1, _TILE * count // x.numel())
    return [slice(start, start + step) for start in range(0, count, step)]


def on_host() -> contextlib.AbstractContextManager:
    """A scope in which new tensors can be read by NumPy's functions."""
    return keras.device("cpu")


elu = torch.nn.functional.elu
selu = torch.nn.functional.selu
tanh = torch.tanh
divide = torch.divide


def power(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """X to the power y, whose slope in y is 0 where x <= 0."""
    positive = x > 0
    if not _in_forward_mode():
        return torch.pow(x, torch.where(positive, y, y.detach()))
    # A direction of 0 would meet the logarithm of x.
    return torch.where(
        positive, torch.pow(torch.where(positive, x, 1), y), torch.pow(x, y.detach())
    )


def bessel_i0e(x: torch.Tensor) -> torch.Tensor:
    """exp(-|x|) I0(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(torch.special.i0e, x)


def bessel_i1e(x: torch.Tensor) -> torch.Tensor:
    """exp(-|x|) I1(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(torch.special.i1e, x)


def _in_float32(function, x):
    if x.dtype in (torch.float32, torch.float64):
        return function(x)
    return function(x.float()).to(x.dtype)


GradientTaps = _torch_taps.GradientTaps


def keeping(
    forward: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    backward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
) -> torch.Tensor:
    """`forward(x)[0]`, with `backward(gradient, forward(x)[1])` for its gradient."""
    return _Keeping.apply(forward, backward, x)


class _Keeping(torch.autograd.Function):
    """Keeps what `forward` returns beside its output."""

    @staticmethod
    def forward(ctx, forward, backward, x):
        output, kept = forward(x)
        ctx.function = backward
        ctx.save_for_backward(kept)
        return output

    @staticmethod
    def backward(ctx, gradient):
        return None, None, ctx.function(gradient, *ctx.saved_tensors)


def pointwise(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """`function(x)`, elementwise; its slope is computed once, for all backward passes."""

    def forward(x):
        output, slope = torch.empty_like(x), torch.empty_like(x)
        for tile in _tiles(x):
            part = x[tile]
            output[tile], (slope[tile],) = _differentiated(function, torch.ones_like(part), part)
        return output, slope

    return keeping(forward, torch.mul, x)


def compiled(function: Callable) -> Callable:
    """`function` of tensors without gradients; run as it is."""
    return torch.no_grad()(function)
