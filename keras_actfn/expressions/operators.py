"""The one table of operators: what the parser, the layer, the spaces, docs and tests read.

Names are those of the PANGAEA and Act-Bench files. Every operator is elementwise and has
its formula, its reference on NumPy arrays, its implementation on tensors and a note on
its derivative where that needs a convention: at a kink the derivative is that of either
side or between them, and a NaN input gives NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from keras import ops

from . import references as reference
from . import tensor_functions as tensor
from .latex import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Latex,
    function_latex,
    joined_latex,
    named_latex,
    template_latex,
)


@dataclass(frozen=True)
class Operator:
    """An elementwise function of one or more arguments.

    Attributes:
        name: What stands before the bracket.
        arity: Number of arguments; `None`: two or more.
        formula: The definition, in plain text.
        reference: Function of NumPy arrays; `None`: `function` on tensors and back, at
            the precision of the backend.
        function: Function of tensors.
        latex: How a term is typeset.
        note: The derivative at singularities, where it needs saying.
        latency: What it costs: one of `LATENCIES`.
        tame: Whether the slopes are bounded over all finite arguments. Where it is False, slopes
            are formed from the inside out, and hulls look for infinite ones.
        step: The function of two tensors that an operator of many arguments folds.
        limits: Whether it has a limit at each infinity, be that infinite.
    """

    name: str
    arity: int | None
    formula: str
    reference: Callable | None
    function: Callable
    latex: Latex
    note: str = ""
    tame: bool = False
    latency: str = "special"
    step: Callable | None = None
    limits: bool = True

    def accepts(self, count: int) -> bool:
        """Whether `count` arguments are a right number."""
        return count == self.arity if self.arity is not None else count >= 2

    def describe_arity(self) -> str:
        """Return the right number of arguments in words."""
        if self.arity is None:
            return "two or more arguments"
        return "one argument" if self.arity == 1 else f"{self.arity} arguments"

    def on_arrays(self, *arrays: np.ndarray) -> np.ndarray:
        """Evaluate on NumPy arrays, by the reference or else through the backend."""
        if self.reference is not None:
            return self.reference(*arrays)
        tensors = [ops.convert_to_tensor(array) for array in arrays]
        return ops.convert_to_numpy(self.function(*tensors)).astype(np.result_type(*arrays))


#: What an operator costs a processor without tables: sums, products, quotients and
#: comparisons; one exponential or logarithm with these; a function of its own.
LATENCIES = ("arithmetic", "exponential", "special")

_LATENCY = {
    **dict.fromkeys(("zero", "one", "identity", "negative", "abs", "square"), "arithmetic"),
    **dict.fromkeys(("reciprocal", "relu", "leakyrelu", "hard_sigmoid"), "arithmetic"),
    **dict.fromkeys(("softsign", "add", "sub", "mul", "div", "max", "min"), "arithmetic"),
    **dict.fromkeys(("sum_n", "prod_n", "max_n", "min_n"), "arithmetic"),
    **dict.fromkeys(("exp", "expm1", "sinh", "cosh", "tanh", "sigmoid"), "exponential"),
    **dict.fromkeys(("log_sigmoid", "softplus", "swish", "elu", "selu"), "exponential"),
    **dict.fromkeys(("elish", "mish", "gaussian"), "exponential"),
    **dict.fromkeys(("erf", "erfc", "gelu", "arcsinh", "arctan", "pow"), "special"),
    **dict.fromkeys(("bessel_i0e", "bessel_i1e", "sin", "cos", "sinc"), "special"),
}

#: The unary operators that have a pole or grow faster than any multiple of x.
_WILD = ("reciprocal", "square", "exp", "sinh", "cosh", "expm1")

#: The unary operators that swing on without an end.
_WITHOUT_LIMITS = ("sin", "cos")


def _unary(name, formula, on_arrays, on_tensors, latex=None, note=""):
    latex = latex or named_latex(rf"\mathrm{{{name}}}")
    tame, limits = name not in _WILD, name not in _WITHOUT_LIMITS
    return Operator(name, 1, formula, on_arrays, on_tensors, latex, note, tame, limits=limits)


def _with_latency(operator):
    return replace(operator, latency=_LATENCY[operator.name])


def _fold(function, *arguments):
    return reduce(function, arguments)


_text = {"SELU": reference.SELU_SCALE, "ALPHA": reference.SELU_ALPHA}

UNARY = (
    _unary("zero", "0", np.zeros_like, ops.zeros_like, template_latex("0", ATOM)),
    _unary("one", "1", np.ones_like, ops.ones_like, template_latex("1", ATOM)),
    _unary("identity", "x", reference.identity, tensor.identity, template_latex("{0}", ATOM, ATOM)),
    _unary("negative", "-x", np.negative, ops.negative, template_latex("-{0}", SUM, PRODUCT)),
    _unary(
        "abs",
        "|x|",
        np.abs,
        ops.absolute,
        template_latex(r"\left|{0}\right|", ATOM),
        "kink at 0, where every backend takes 0",
    ),
    _unary(
        "reciprocal",
        "1/x",
        reference.reciprocal,
        ops.reciprocal,
        template_latex(r"\frac{{1}}{{{0}}}", PRODUCT),
        "pole at 0: the value is +inf at 0 and -inf at -0, the derivative -inf",
    ),
    _unary("square", "x^2", np.square, ops.square, template_latex("{0}^{{2}}", POWER, ATOM)),
    _unary("exp", "e^x", np.exp, ops.exp, template_latex("e^{{{0}}}", POWER)),
    _unary("sigmoid", "1/(1 + e^-x)", reference.sigmoid, ops.sigmoid, named_latex(r"\sigma")),
    _unary("erf", "2/sqrt(pi) int_0^x e^(-t^2) dt", reference.erf, tensor.erf),
    _unary("erfc", "1 - erf(x)", reference.erfc, ops.erfc),
    _unary("sinh", "(e^x - e^-x)/2", np.sinh, ops.sinh, named_latex(r"\sinh")),
    _unary("cosh", "(e^x + e^-x)/2", np.cosh, ops.cosh, named_latex(r"\cosh")),
    _unary("tanh", "(e^x - e^-x)/(e^x + e^-x)", np.tanh, tensor.tanh, named_latex(r"\tanh")),
    _unary("arcsinh", "log(x + sqrt(x^2 + 1))", np.arcsinh, ops.arcsinh),
    _unary("arctan", "inverse of tan", np.arctan, ops.arctan, named_latex(r"\arctan")),
    _unary("expm1", "e^x - 1", np.expm1, ops.expm1, template_latex("e^{{{0}}} - 1", SUM)),
    _unary(
        "log_sigmoid",
        "-log(1 + e^-x)",
        reference.log_sigmoid,
        ops.log_sigmoid,
        template_latex(r"\log \sigma\left({0}\right)", ATOM),
    ),
    _unary("relu", "max(x, 0)", reference.relu, ops.relu, function_latex("ReLU"), "kink at 0: 0"),
    _unary("elu", "x if x > 0 else e^x - 1", reference.elu, tensor.elu, function_latex("ELU")),
    _unary(
        "selu",
        "s x if x > 0 else s a (e^x - 1), s = {SELU}, a = {ALPHA}".format(**_text),
        reference.selu,
        tensor.selu,
        function_latex("SELU"),
        "kink at 0: the slope of either side",
    ),
    _unary("swish", "x sigmoid(x)", reference.swish, tensor.swish, function_latex("Swish")),
    _unary(
        "softplus", "log(1 + e^x)", reference.softplus, ops.softplus, function_latex("Softplus")
    ),
    _unary(
        "softsign", "x/(1 + |x|)", reference.softsign, tensor.softsign, function_latex("Softsign")
    ),
    _unary(
        "hard_sigmoid",
        "clip(0.2 x + 0.5, 0, 1)",
        reference.hard_sigmoid,
        tensor.hard_sigmoid,
        function_latex("HardSigmoid"),
        "kinks at -2.5 and 2.5",
    ),
    _unary(
        "bessel_i0e",
        "e^-|x| I_0(x)",
        reference.bessel_i0e,
        tensor.bessel_i0e,
        template_latex(r"e^{{-\left|{0}\right|}} I_0\left({0}\right)", PRODUCT),
        "kink at 0, where every backend takes 0",
    ),
    _unary(
        "bessel_i1e",
        "e^-|x| I_1(x)",
        reference.bessel_i1e,
        tensor.bessel_i1e,
        template_latex(r"e^{{-\left|{0}\right|}} I_1\left({0}\right)", PRODUCT),
    ),
)

EXTRA_UNARY = (
    _unary(
        "elish",
        "x sigmoid(x) if x > 0 else (e^x - 1) sigmoid(x)",
        reference.elish,
        tensor.elish,
        function_latex("ELiSH"),
    ),
    _unary("gelu", "x erfc(-x/sqrt(2))/2", reference.gelu, tensor.gelu, function_latex("GELU")),
    _unary(
        "leakyrelu",
        "x if x > 0 else 0.01 x",
        reference.leakyrelu,
        tensor.leakyrelu,
        function_latex("LeakyReLU"),
        "kink at 0: the slope of either side",
    ),
    _unary("mish", "x tanh(softplus(x))", reference.mish, tensor.mish, function_latex("Mish")),
    _unary("sin", "sin(x)", np.sin, ops.sin, named_latex(r"\sin"), "NaN at infinity"),
    _unary("cos", "cos(x)", np.cos, ops.cos, named_latex(r"\cos"), "NaN at infinity"),
    _unary("sinc", "sin(x)/x, 1 at 0", reference.sinc, tensor.sinc),
    _unary(
        "gaussian",
        "e^(-x^2)",
        reference.gaussian,
        tensor.gaussian,
        template_latex("e^{{-{0}^{{2}}}}", POWER, ATOM),
    ),
)

BINARY = (
    Operator("add", 2, "x + y", np.add, ops.add, joined_latex(" + ", SUM), tame=True),
    Operator(
        "sub",
        2,
        "x - y",
        np.subtract,
        ops.subtract,
        template_latex("{0} - {1}", SUM, SUM, PRODUCT),
        tame=True,
    ),
    Operator("mul", 2, "x y", np.multiply, ops.multiply, joined_latex(r" \cdot ", PRODUCT)),
    Operator(
        "div",
        2,
        "x/y",
        np.divide,
        tensor.divide,
        template_latex(r"\frac{{{0}}}{{{1}}}", PRODUCT),
        "pole at y = 0; 0/0 is NaN in value and derivative",
    ),
    Operator(
        "pow",
        2,
        "x^y",
        reference.power,
        tensor.power,
        template_latex("{0}^{{{1}}}", POWER, ATOM, SUM),
        "NaN for x < 0 and fractional y; d/dy is 0 where x <= 0; d/dx is 0 where y = 0",
    ),
    Operator(
        "max",
        2,
        "max(x, y)",
        np.maximum,
        tensor.maximum,
        function_latex("max"),
        "where x = y the derivatives share a weight of one",
        tame=True,
    ),
    Operator(
        "min",
        2,
        "min(x, y)",
        np.minimum,
        tensor.minimum,
        function_latex("min"),
        "where x = y the derivatives share a weight of one",
        tame=True,
    ),
)

N_ARY = tuple(
    Operator(
        name,
        None,
        formula,
        partial(_fold, on_arrays),
        partial(_fold, on_tensors),
        latex,
        note,
        tame=name != "prod_n",
        step=on_tensors,
    )
    for name, formula, on_arrays, on_tensors, latex, note in (
        ("sum_n", "x1 + x2 + ...", np.add, ops.add, joined_latex(" + ", SUM), ""),
        ("prod_n", "x1 x2 ...", np.multiply, ops.multiply, joined_latex(r" \cdot ", PRODUCT), ""),
        ("max_n", "max(x1, x2, ...)", np.maximum, tensor.maximum, function_latex("max"), "as max"),
        ("min_n", "min(x1, x2, ...)", np.minimum, tensor.minimum, function_latex("min"), "as min"),
    )
)

BUILT_IN = {
    operator.name: _with_latency(operator) for operator in (*UNARY, *EXTRA_UNARY, *BINARY, *N_ARY)
}
