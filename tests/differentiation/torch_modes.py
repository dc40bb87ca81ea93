"""The ways to differentiate on PyTorch."""

import torch
import torch.utils.checkpoint
from torch.autograd import forward_ad

from .cases import sums


def all_of(case):
    return tuple(range(len(case.sources)))


def leaves(case):
    return [source.clone().requires_grad_() for source in case.sources]


def backward(case):
    """As a training step."""
    sources = leaves(case)
    case.weighted(*sources).backward()
    return [source.grad for source in sources]


def checkpoint(case):
    sources = leaves(case)
    output = torch.utils.checkpoint.checkpoint(case.weighted, *sources, use_reentrant=False)
    return torch.autograd.grad(output, sources)


def weighted_gradient(case):
    return torch.func.grad(case.weighted, all_of(case))


def dual_tangent(case):
    """Forward mode without `torch.func`."""
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, case.sources, case.along)
        return [tangent_of(case.function(*duals))]


def tangent_of(dual):
    """The tangent of a dual number, zero where it has none."""
    primal, tangent = forward_ad.unpack_dual(dual)
    return torch.zeros_like(primal) if tangent is None else tangent


def along(case, function):
    return torch.func.jvp(function, tuple(case.sources), tuple(case.along))[1]


def weighted_tangent(case, *sources):
    return torch.func.jvp(case.weighted, sources, tuple(case.along))[1]


def columns(case):
    """The tangent, through `jacfwd` along one number."""

    def move(step):
        moved = zip(case.sources, case.along, strict=True)
        return case.function(*(source + step * direction for source, direction in moved))

    return [torch.func.jacfwd(move)(torch.tensor(0.0))]


def by_example(case):
    axes = 0, *(None for _ in case.parameters)
    gradient = torch.func.grad(lambda x, *rest: case.function(x[None], *rest).sum(), all_of(case))
    return torch.func.vmap(gradient, axes)(*case.sources)


def of_all_examples(case):
    """The gradient of a function that maps over the examples."""
    axes = 0, *(None for _ in case.parameters)

    def weighted(*sources):
        function = torch.func.vmap(lambda x, *rest: case.function(x[None], *rest)[0], axes)
        return (case.weight * function(*sources)).sum()

    sources = leaves(case)
    return torch.autograd.grad(weighted(*sources), sources)


def batched_gradients(case):
    """The gradients of each example's sum, by one backward pass over a batch of gradients."""
    sources = leaves(case)
    chosen = torch.eye(len(case.x)).reshape(len(case.x), len(case.x), 1, 1)
    upstream = chosen.expand(len(case.x), *case.x.shape)
    output = case.function(*sources)
    to_x, *rest = torch.autograd.grad(output, sources, upstream, is_grads_batched=True)
    return [to_x.sum(0), *rest]


def penalty(case):
    """A gradient penalty, as trainings write it."""
    sources = leaves(case)
    output = case.function(*sources).sum()
    (slope,) = torch.autograd.grad(output, sources[0], create_graph=True)
    return gradients((case.weight * slope**2).sum(), sources)


def product(case):
    """The Hessian times the directions, by two backward passes."""
    sources = leaves(case)
    found = gradients(case.weighted(*sources), sources)
    pairs = zip(found, case.along, strict=True)
    return gradients(sum((each * direction).sum() for each, direction in pairs), sources)


def functional_penalty(case):
    def value(*sources):
        slope = torch.func.grad(lambda x: case.function(x, *sources[1:]).sum())(sources[0])
        return (case.weight * slope**2).sum()

    return torch.func.grad(value, all_of(case))(*case.sources)


def reverse_over_dual(case):
    """A gradient through a tangent, without `torch.func`."""
    sources = leaves(case)
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, sources, case.along)
        return gradients(tangent_of(case.weighted(*duals)), sources)


def dual_over_reverse(case):
    """A tangent through a gradient, without `torch.func`."""
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(leaves(case), case.along, strict=True)]
        return [tangent_of(each) for each in gradients(case.weighted(*duals), duals)]


def gradients(output, sources):
    """Gradients, zeros where there is no path."""
    if not output.requires_grad:
        return [torch.zeros_like(source) for source in sources]
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    return torch.autograd.grad(output, sources, **options)


def twice(outer, inner):
    """The Hessian's sums by two transforms."""
    return lambda case: sums(outer(inner(case.weighted, all_of(case)), all_of(case))(*case.sources))


def autograd_hessian(vectorize):
    def run(case):
        hessian = torch.autograd.functional.hessian(
            case.weighted, tuple(case.sources), vectorize=vectorize
        )
        return sums(hessian)

    return run


func = torch.func

#: For each way to differentiate, the property of `Case` that it computes, and how.
MODES = {
    "backward": ("gradient", backward),
    "checkpoint": ("gradient", checkpoint),
    "func.grad": ("gradient", lambda case: weighted_gradient(case)(*case.sources)),
    "grad of vmap": ("gradient", of_all_examples),
    "dual numbers": ("tangent", dual_tangent),
    "func.jvp": ("tangent", lambda case: [along(case, case.function)]),
    "jacfwd": ("tangent", columns),
    "vmap of grad": ("per_example", by_example),
    "batched gradients": ("per_example", batched_gradients),
    "penalty": ("penalty", penalty),
    "func.grad of grad": ("penalty", functional_penalty),
    "backward twice": ("hessian_product", product),
    "jvp of grad": ("hessian_product", lambda case: along(case, weighted_gradient(case))),
    "grad of jvp": (
        "hessian_product",
        lambda case: func.grad(lambda *s: weighted_tangent(case, *s), all_of(case))(*case.sources),
    ),
    "reverse over dual numbers": ("hessian_product", reverse_over_dual),
    "dual numbers over reverse": ("hessian_product", dual_over_reverse),
    "jvp of jvp": (
        "second_tangent",
        lambda case: [along(case, lambda *s: weighted_tangent(case, *s))],
    ),
    "func.hessian": ("hessian_sums", twice(func.jacfwd, func.jacrev)),
    "jacrev of jacrev": ("hessian_sums", twice(func.jacrev, func.jacrev)),
    "jacfwd of jacfwd": ("hessian_sums", twice(func.jacfwd, func.jacfwd)),
    "jacrev of jacfwd": ("hessian_sums", twice(func.jacrev, func.jacfwd)),
    "functional.hessian": ("hessian_sums", autograd_hessian(False)),
    "functional.hessian, vectorized": ("hessian_sums", autograd_hessian(True)),
}
