"""A layer as a function of tensors, and its derivatives in float64 by closed forms."""

from functools import partial

import numpy as np
from keras import ops
from reference import derivatives as reference

import keras_actfn

_CLAMPED = {"knots": 5, "low": -1.0, "high": 3.0, "clamp": True}

#: For each layer its closed form; names with `axis=-1` keep their own parameters per channel.
LAYERS = {
    "conv(identity,relu,tanh)": reference.hull,
    "aff(identity,relu,tanh,axis=-1)": reference.hull,
    "aff(one)": reference.one,
    "pwl(initial=tanh,low=-3,high=3)": reference.pwl,
    "pwl(initial=tanh,low=-3,high=3,axis=-1)": reference.pwl,
    "pwl(knots=80,initial=tanh,low=-3,high=3)": partial(reference.pwl, knots=80),
    "pwl(knots=5,low=-1,high=3,initial=tanh,extrapolation=clamp)": partial(
        reference.pwl, **_CLAMPED
    ),
    "pwl(knots=5,low=-1,high=3,initial=tanh,extrapolation=clamp,axis=-1)": partial(
        reference.pwl, **_CLAMPED
    ),
    "spline(initial=tanh,low=-3,high=3)": reference.spline,
    "spline(knots=80,initial=tanh,low=-3,high=3)": partial(reference.spline, knots=80),
    "spline(knots=5,low=-1,high=3,initial=tanh,extrapolation=clamp,axis=-1)": partial(
        reference.spline, **_CLAMPED
    ),
    "crrelu(epsilon=0.3)": reference.crrelu,
    "crrelu(epsilon=0.3,axis=-1)": reference.crrelu,
    "mul(x,erfc(x))": reference.expression,
    "one(x)": reference.one_expression,
    "sinc(x)": reference.sinc,
}

#: One of each kind, for what takes long.
SOME_LAYERS = (
    "conv(identity,relu,tanh)",
    "pwl(initial=tanh,low=-3,high=3)",
    "pwl(knots=5,low=-1,high=3,initial=tanh,extrapolation=clamp,axis=-1)",
    "spline(initial=tanh,low=-3,high=3)",
    "spline(knots=5,low=-1,high=3,initial=tanh,extrapolation=clamp,axis=-1)",
    "crrelu(epsilon=0.3)",
    "mul(x,erfc(x))",
)

#: A hull with coefficients of 0 where values or derivatives of their terms are infinite.
SINGULAR = "aff(tanh,reciprocal,pow(x,0.5),pow(x,1.5))"

SHAPE = (4, 3, 5)


class Case:
    """A layer as a function of tensors, where to differentiate it, and the right results."""

    def __init__(self, spec):
        layer = keras_actfn.activation(spec)
        layer.build((None, *SHAPE[1:]))
        rng = np.random.default_rng(0)
        x = rng.normal(size=SHAPE) * 2
        if "clamp" in spec:  # at knots, and at both ends
            x.flat[:6] = -1, 0, 1, 2, 3, 4
        parameters = [w + rng.normal(size=w.shape) * 0.1 for w in layer.get_weights()]
        if spec == "sinc(x)":  # where the quotient is 0/0, and about it
            x.flat[:4] = 0, -0.0, 1e-4, -1e-20
        if spec == SINGULAR:
            x.flat[:4] = 0, -1, -0.0, 0.25
            parameters = [np.eye(4)[0]]
        given = [x, rng.normal(size=SHAPE), *parameters]
        directions = [rng.normal(size=array.shape) for array in (x, *parameters)]
        self.x, self.upstream, *self.parameters = (array.astype("float32") for array in given)
        self.directions = [array.astype("float32") for array in directions]

        def function(x, *parameters):
            return layer.stateless_call(list(parameters), [], x)[0]

        self.function = function
        self.sources = [ops.convert_to_tensor(array) for array in (self.x, *self.parameters)]
        self.weight = ops.convert_to_tensor(self.upstream)
        self.along = [ops.convert_to_tensor(array) for array in self.directions]
        self._own = "axis=-1" in spec
        self._exact = self._derivatives(LAYERS.get(spec, reference.singular_hull))

    def weighted(self, *sources):
        """The sum of f(x), weighted."""
        return ops.sum(self.weight * self.function(*sources))

    def _derivatives(self, form):
        x, parameters = (np.asarray(a, "float64") for a in (self.x, self.parameters[:1]))
        if not self.parameters:
            return form(x)
        rows = parameters[0].reshape(-1, *((1, 1, SHAPE[-1]) if self._own else (1, 1, 1)))
        return form(x, rows)

    def _gathered(self, by_row):
        """Gradients to the parameters from (K, batch, …), nothing where there are none."""
        axes = (1, 2) if self._own else (1, 2, 3)
        return [by_row.sum(axes).reshape(p.shape) for p in self.parameters]

    def _spread(self, direction):
        """A direction of the parameters as (K, 1, …)."""
        return direction.reshape(-1, *((1, 1, SHAPE[-1]) if self._own else (1, 1, 1)))

    @property
    def gradient(self):
        """Of `weighted`, to x and the parameters."""
        e, u = self._exact, self.upstream
        return [u * e.slope, *self._gathered(u * e.basis)]

    @property
    def tangent(self):
        """Of `function`, along the directions."""
        to_x, *to_parameters = self.directions
        moved = sum((self._spread(d) * self._exact.basis).sum(0) for d in to_parameters)
        return [self._exact.slope * to_x + moved]

    @property
    def per_example(self):
        """Gradients of the sum of each example's f to it and to the parameters."""
        e, axes = self._exact, (2,) if self._own else (2, 3)
        rows = np.moveaxis(e.basis.sum(axes), 1, 0)
        return [e.slope, *(rows.reshape(SHAPE[0], *p.shape) for p in self.parameters)]

    @property
    def penalty(self):
        """Gradients of the weighted sum of f′²."""
        e, u = self._exact, 2 * self.upstream * self._exact.slope
        return [u * e.curvature, *self._gathered(u * e.basis_slope)]

    @property
    def hessian_product(self):
        """The Hessian of `weighted` times the directions."""
        e, u = self._exact, self.upstream
        to_x, *to_parameters = self.directions
        moved = sum((self._spread(d) * e.basis_slope).sum(0) for d in to_parameters)
        return [u * (e.curvature * to_x + moved), *self._gathered(u * e.basis_slope * to_x)]

    @property
    def second_tangent(self):
        """The second derivative of `weighted` along the directions."""
        return [
            sum(np.sum(a * b) for a, b in zip(self.hessian_product, self.directions, strict=True))
        ]

    @property
    def hessian_sums(self):
        """Of the Hessian of `weighted`: in x the diagonal and what is off it, then by parameter."""
        e, u = self._exact, self.upstream
        return [u * e.curvature, 0.0, *self._gathered(u * e.basis_slope)]


def sums(hessian):
    """What `Case.hessian_sums` states, of the blocks of a Hessian of x and the parameters."""
    (by_x, *mixed), *_ = hessian
    size = int(np.prod(SHAPE))
    by_x = ops.reshape(by_x, (size, size))
    off = ops.sum(ops.abs(by_x * (1 - ops.eye(size))))
    on = ops.reshape(ops.diagonal(by_x), SHAPE)
    return [on, off, *(ops.sum(block, axis=(0, 1, 2)) for block in mixed)]
