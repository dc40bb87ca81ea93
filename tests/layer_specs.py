"""The layers of the package that every test of all layers goes through."""

from keras_actfn.layers import SegmentedLinear


def segmented():
    return SegmentedLinear([-1.5, 0.0, 2.0], [0.0, -0.2, 1.0, 0.5], -0.3)


def trained_segments():
    return SegmentedLinear([-1.0, 1.0], [0.1, 1.0, 0.0], trainable=True)


SPECS = (
    "conv(identity,relu,tanh)",
    "aff(identity,relu,tanh)",
    "aff(relu,tanh,axis=-1)",
    "pwl",
    "pwl(knots=80,initial=tanh,extrapolation=clamp)",
    "pwl(knots=5,low=-1,high=2,axis=-1)",
    "spline",
    "spline(knots=80,initial=tanh,extrapolation=clamp)",
    "spline(knots=5,low=-1,high=2,initial=tanh,axis=-1)",
    "crrelu",
    "crrelu(epsilon=-0.4,axis=-1)",
    "max(relu(x),swish(x))",
    "rational(degrees=[3,2],initial=tanh,axis=-1)",
    "xielu",
    "acon(p2=0.2)",
    "dyt",
    "scaled(gelu,b=1.5)",
    "scaled(crrelu,axis=-1)",
    segmented,
    trained_segments,
)
