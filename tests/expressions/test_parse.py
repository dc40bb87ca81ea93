"""Reading and writing expressions."""

import copy
import pickle

import numpy as np
import pytest
from reference.random_expressions import random_expressions

from keras_actfn._names import nearest
from keras_actfn.expressions import SpecError, parse, register_operator
from keras_actfn.expressions.expression import Expression

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x", "x"),
        (" max( relu(x) , cosh(elu(x)) ) ", "max(relu(x),cosh(elu(x)))"),
        ("x * erfc(elu(x))", "mul(x,erfc(elu(x)))"),
        ("-x**2", "negative(pow(x,2))"),
        ("2**-x", "pow(2,negative(x))"),
        ("x^x^x", "pow(x,pow(x,x))"),
        ("1 - x - x/2/x", "sub(sub(1,x),div(div(x,2),x))"),
        ("-(x+.5)*1e-3", "mul(negative(add(x,0.5)),0.001)"),
        ("--x", "negative(negative(x))"),
        ("sum_n(x, one(x), tanh(x))", "sum_n(x,one(x),tanh(x))"),
        ("min(square(x),selu(x))", "min(square(x),selu(x))"),
        ("1e300*x", "mul(1e+300,x)"),
        ("0.1*x", "mul(0.1,x)"),
    ],
)
def test_text_to_canonical_text(text, canonical):
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_every_expression_is_read_back():
    for expression in random_expressions(300, seed=1):
        again = parse(str(expression))
        assert again == expression and hash(again) == hash(expression)
        assert again.name == str(expression)
    assert parse("add(x,x)") != parse("mul(2,x)")
    assert parse("x") != "x"


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("max(rellu(x),x)", 4, "Unknown operator 'rellu'. Did you mean 'relu', 'elu', 'selu'?"),
        ("add(tanh(y),x)", 9, "Unknown operator 'y'."),
        ("max(x)", 0, "The operator 'max' takes 2 arguments, got 1."),
        ("x+tanh(x,x)", 2, "The operator 'tanh' takes one argument, got 2."),
        ("sum_n(x)", 0, "The operator 'sum_n' takes two or more arguments, got 1."),
        ("tanh", 4, "The operator 'tanh' takes one argument in brackets, such as tanh(x)."),
        ("tanh(x", 6, "Expected ',' or ')' for the '(' at position 4, got the end of the text."),
        ("tanh(x))", 7, "Expected the end of the expression or an operator, got ')'."),
        ("x x", 2, "Expected the end of the expression or an operator, got 'x'."),
        ("", 0, "Expected x, a number or an operator, got the end of the text."),
        ("tanh()", 5, "Expected x, a number or an operator, got ')'."),
        ("x ? 2", 2, "Unexpected character '?'"),
        ("x*1e999", 2, "The number 1e999 is too large."),
        ("(" * 100 + "x" + ")" * 100, 64, "nests deeper than 64 levels"),
        ("+".join(["x"] * 100), 127, "nests deeper than 64 levels"),
    ],
)
def test_errors_show_the_rule_and_the_position(text, position, message):
    with pytest.raises(SpecError) as caught:
        parse(text)
    error = caught.value
    assert message in error.message
    assert (error.text, error.position) == (text, position)
    assert str(error).endswith(f"\n  {text}\n  {' ' * position}^")


def test_an_error_moves_into_a_longer_text():
    spec = "conv(identity,rellu(x))"
    with pytest.raises(SpecError) as caught:
        parse(spec[14:-1])
    moved = caught.value.shifted(spec, 14)
    assert str(moved).endswith("\n  conv(identity,rellu(x))\n                ^")
    assert (moved.text, moved.position, moved.message) == (spec, 14, caught.value.message)
    assert str(pickle.loads(pickle.dumps(moved))) == str(moved)


def test_only_strings_are_read():
    with pytest.raises(TypeError, match="read from a string, not from int"):
        parse(3)


def test_nearest_names():
    assert nearest("softpluss", ["softplus", "tanh"]) == "Did you mean 'softplus'?"
    assert nearest("ReLU", ["relu", "tanh"]) == "Did you mean 'relu'?"
    assert nearest("qqqq", ["relu", "tanh"]) == ""


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("square(erfc(x))", r"\mathrm{erfc}\left(x\right)^{2}"),
        ("square(exp(x))", r"\left(e^{x}\right)^{2}"),
        ("mul(add(x,1),exp(negative(x)))", r"\left(x + 1\right) \cdot e^{-x}"),
        ("sub(x,sub(x,expm1(x)))", r"x - \left(x - \left(e^{x} - 1\right)\right)"),
        ("div(max(x,2),abs(x))", r"\frac{\max\left(x, 2\right)}{\left|x\right|}"),
        ("square(reciprocal(x))", r"\left(\frac{1}{x}\right)^{2}"),
        ("prod_n(sum_n(x,x),x)", r"\left(x + x\right) \cdot x"),
    ],
)
def test_latex(text, latex):
    assert parse(text).latex() == latex


def test_every_latex_is_drawn_by_matplotlib():
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for expression in random_expressions(60, seed=2):
        parser.parse(f"${expression.latex()}$")


def test_numpy_values_keep_the_dtype():
    f = parse("x*sigmoid(x)")
    for dtype in ("float32", "float64"):
        assert f(np.ones(3, dtype)).dtype == dtype
    assert f([1, 2]).dtype == "float64"
    assert f(2) == pytest.approx(2 / (1 + np.exp(-2)))
    assert f(np.zeros((0, 3))).shape == (0, 3)
    with pytest.raises(TypeError, match="takes real numbers, not dtype complex128"):
        f(np.ones(2, complex))


def test_common_parts_are_computed_once():
    calls = []

    def count(x):
        calls.append(x)
        return x + 1

    register_operator("test_counted", count, reference=count)
    f = parse("add(mul(test_counted(tanh(x)),x),square(test_counted(tanh(x))))")
    t = np.tanh(1.5) + 1
    assert f(1.5) == pytest.approx(t * 1.5 + t * t)
    assert len(calls) == 1
    parts = [str(part) for part in f.subexpressions()]
    assert parts[:3] == ["x", "tanh(x)", "test_counted(tanh(x))"]


def test_expressions_are_values():
    f = parse("max(relu(x),cosh(elu(x)))")
    assert copy.deepcopy(f) == f and pickle.loads(pickle.dumps(f)) == f
    assert {f: 1}[parse(str(f))] == 1
    assert eval(repr(f), {"parse": parse}) == f
    with pytest.raises(ValueError, match="a finite number >= 0, not -1"):
        Expression(-1)


def test_registering_operators():
    def sine(x):
        return np.sin(x)

    operator = register_operator("test_sine", sine, reference=np.sin, formula="sin(x)")
    assert register_operator("test_sine", sine, reference=np.sin, formula="sin(x)") == operator
    assert parse("test_sine(2*x)")(0.5) == pytest.approx(np.sin(1.0))
    assert r"\mathrm{test\_sine}" in parse("test_sine(x)").latex()
    with pytest.raises(ValueError, match="'test_sine' is registered already"):
        register_operator("test_sine", np.cos)
    with pytest.raises(ValueError, match="'tanh' is a built-in operator"):
        register_operator("tanh", np.cos)
    with pytest.raises(ValueError, match="ASCII identifier other than 'x', not 'x'"):
        register_operator("x", np.cos)
    with pytest.raises(TypeError, match="must be callable"):
        register_operator("test_other", 3)


def test_scipy_is_needed_only_by_its_operators(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr("keras_actfn._optional.importlib.import_module", missing)
    assert parse("relu(x)+swish(x)")(1.0) == pytest.approx(1 + 1 / (1 + np.exp(-1)))
    with pytest.raises(ImportError, match=r'pip install "keras-actfn\[expressions\]"'):
        parse("erf(x)")(1.0)
