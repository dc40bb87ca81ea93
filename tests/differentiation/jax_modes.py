"""The ways to differentiate on JAX."""

from functools import partial

import jax

from .cases import sums


def all_of(case):
    return tuple(range(len(case.sources)))


def weighted_gradient(case):
    return jax.grad(case.weighted, all_of(case))


def penalty(case):
    def value(*sources):
        slope = jax.grad(lambda x: case.function(x, *sources[1:]).sum())(sources[0])
        return (case.weight * slope**2).sum()

    return jax.grad(value, all_of(case))(*case.sources)


def product(case):
    """The Hessian times the directions, by reverse mode twice."""
    pull = jax.vjp(weighted_gradient(case), *case.sources)[1]
    return pull(tuple(case.along))


def along(case, function):
    return jax.jvp(function, tuple(case.sources), tuple(case.along))[1]


def weighted_tangent(case, *sources):
    return jax.jvp(case.weighted, sources, tuple(case.along))[1]


def rematerialized(case):
    function = jax.checkpoint(case.function)
    return jax.grad(lambda *sources: (case.weight * function(*sources)).sum(), all_of(case))(
        *case.sources
    )


def by_example(case):
    numbers = (0, *(None for _ in case.parameters))
    gradient = jax.grad(lambda x, *rest: case.function(x[None], *rest).sum(), all_of(case))
    return jax.vmap(gradient, numbers)(*case.sources)


def by_basis(case):
    """The tangent, through `jacfwd` along one number."""
    steps = jax.jacfwd(
        lambda step: case.function(
            *(s + step * d for s, d in zip(case.sources, case.along, strict=True))
        )
    )
    return [steps(0.0)]


#: For each way to differentiate, the property of `Case` that it computes, and how.
MODES = {
    "grad": ("gradient", lambda case: weighted_gradient(case)(*case.sources)),
    "checkpoint": ("gradient", rematerialized),
    "jvp": ("tangent", lambda case: [along(case, case.function)]),
    "linearize": (
        "tangent",
        lambda case: [jax.linearize(case.function, *case.sources)[1](*case.along)],
    ),
    "jacfwd": ("tangent", by_basis),
    "vmap of grad": ("per_example", by_example),
    "grad of grad": ("penalty", penalty),
    "vjp of grad": ("hessian_product", product),
    "jvp of grad": ("hessian_product", lambda case: along(case, weighted_gradient(case))),
    "grad of jvp": (
        "hessian_product",
        lambda case: jax.grad(partial(weighted_tangent, case), all_of(case))(*case.sources),
    ),
    "jvp of jvp": (
        "second_tangent",
        lambda case: [along(case, partial(weighted_tangent, case))],
    ),
    "hessian": (
        "hessian_sums",
        lambda case: sums(jax.hessian(case.weighted, all_of(case))(*case.sources)),
    ),
    "jacrev of jacrev": (
        "hessian_sums",
        lambda case: sums(
            jax.jacrev(jax.jacrev(case.weighted, all_of(case)), all_of(case))(*case.sources)
        ),
    ),
    "jacfwd of jacfwd": (
        "hessian_sums",
        lambda case: sums(
            jax.jacfwd(jax.jacfwd(case.weighted, all_of(case)), all_of(case))(*case.sources)
        ),
    ),
}
