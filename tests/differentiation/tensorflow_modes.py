"""The ways to differentiate on TensorFlow."""

import tensorflow as tf

from .cases import sums

ZERO = tf.UnconnectedGradients.ZERO


def gradients(function, sources):
    with tf.GradientTape() as tape:
        tape.watch(sources)
        output = function(*sources)
    return tape.gradient(output, sources, unconnected_gradients=ZERO)


def recomputed(case):
    return gradients(tf.recompute_grad(case.weighted), case.sources)


def along(case, function):
    """Forward mode."""
    with tf.autodiff.ForwardAccumulator(list(case.sources), list(case.along)) as accumulator:
        output = function(*case.sources)
    return accumulator.jvp(output, unconnected_gradients=ZERO)


def by_example(case):
    def of_one(x):
        sources = [x, *case.sources[1:]]
        return gradients(lambda x, *rest: tf.reduce_sum(case.function(x[None], *rest)), sources)

    return tf.vectorized_map(of_one, case.sources[0])


def by_jacobian(case):
    """The gradients of each example's sum, as a Jacobian."""
    with tf.GradientTape() as tape:
        tape.watch(case.sources)
        by_example = tf.reduce_sum(case.function(*case.sources), axis=(1, 2))
    to_x, *rest = tape.jacobian(by_example, case.sources, unconnected_gradients=ZERO)
    return [tf.reduce_sum(to_x, 0), *rest]


def penalty(case):
    def value(*sources):
        with tf.GradientTape() as tape:
            tape.watch(sources[0])
            output = tf.reduce_sum(case.function(*sources))
        slope = tape.gradient(output, sources[0], unconnected_gradients=ZERO)
        return tf.reduce_sum(case.weight * slope**2)

    return gradients(value, case.sources)


def reverse_over_reverse(case):
    def value(*sources):
        found = zip(gradients(case.weighted, sources), case.along, strict=True)
        return sum(tf.reduce_sum(each * direction) for each, direction in found)

    return gradients(value, case.sources)


def reverse_over_forward(case):
    with tf.GradientTape() as tape:
        tape.watch(case.sources)
        tangent = along(case, case.weighted)
    return tape.gradient(tangent, case.sources, unconnected_gradients=ZERO)


def forward_over_forward(case):
    return [along(case, lambda *sources: along(case, case.weighted))]


def hessian(case):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(case.sources)
        found = gradients(case.weighted, case.sources)
    return sums(
        [outer.jacobian(each, case.sources, unconnected_gradients=ZERO) for each in found[:1]]
    )


#: For each way to differentiate, the property of `Case` that it computes, and how.
MODES = {
    "tape": ("gradient", lambda case: gradients(case.weighted, case.sources)),
    "recompute_grad": ("gradient", recomputed),
    "ForwardAccumulator": ("tangent", lambda case: [along(case, case.function)]),
    "vectorized_map of tape": ("per_example", by_example),
    "jacobian": ("per_example", by_jacobian),
    "penalty": ("penalty", penalty),
    "tape of tape": ("hessian_product", reverse_over_reverse),
    "accumulator of tape": (
        "hessian_product",
        lambda case: along(case, lambda *sources: gradients(case.weighted, case.sources)),
    ),
    "tape of accumulator": ("hessian_product", reverse_over_forward),
    "accumulator of accumulator": ("second_tangent", forward_over_forward),
    "hessian": ("hessian_sums", hessian),
}
