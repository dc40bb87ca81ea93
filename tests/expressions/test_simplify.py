"""Shorter formulas of the same function, and what they cost."""

import numpy as np
import pytest

from keras_actfn.expressions import (
    LATENCY_CLASSES,
    SearchSpace,
    count_nodes,
    latency_class,
    parse,
    simplify,
    three_node,
)
from keras_actfn.expressions.complexity import node_bounds
from keras_actfn.expressions.operators import BUILT_IN, LATENCIES

pytestmark = pytest.mark.once

X = np.linspace(-2.7, 3.1, 41)

#: Schemas whose functions have every rule of `simplify` among them.
SPACES = {
    "three_node": three_node(),
    "n_ary": SearchSpace(
        ["n_ary(unary(x),unary(x),unary(x))", "unary(binary(unary(x),unary(x)))"],
        unary=["zero", "one", "identity", "negative", "abs", "tanh"],
    ),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_values_stay_where_they_are_finite(space):
    shorter = 0
    for expression in space[:: max(1, len(space) // 1500)]:
        found = simplify(expression)
        before = expression(X)
        parts = [part(X) for part in expression.subexpressions()]
        finite = np.isfinite(parts).all(axis=0)
        np.testing.assert_allclose(found(X)[finite], before[finite], rtol=1e-12, atol=1e-13)
        assert count_nodes(found) <= count_nodes(expression)
        shorter += count_nodes(found) < count_nodes(expression)
    assert shorter > len(space[:: max(1, len(space) // 1500)]) / 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("identity(relu(relu(x)))", "relu(x)"),
        ("add(zero(exp(x)),tanh(x))", "tanh(x)"),
        ("sub(one(x),one(x))", "0"),
        ("sub(zero(x),tanh(x))", "negative(tanh(x))"),
        ("add(negative(exp(x)),tanh(x))", "sub(tanh(x),exp(x))"),
        ("mul(tanh(x),tanh(x))", "square(tanh(x))"),
        ("mul(negative(1),exp(x))", "negative(exp(x))"),
        ("div(one(x),exp(x))", "reciprocal(exp(x))"),
        ("pow(exp(x),one(x))", "exp(x)"),
        ("square(negative(abs(x)))", "square(x)"),
        ("sum_n(x,zero(x),tanh(x))", "add(x,tanh(x))"),
        ("max_n(x,x,identity(x))", "x"),
        ("prod_n(zero(x),exp(x),x)", "0"),
        ("negative(sub(x,exp(x)))", "sub(exp(x),x)"),
        ("reciprocal(reciprocal(tanh(x)))", "tanh(x)"),
        ("sinc(negative(cos(abs(x))))", "sinc(cos(x))"),
    ],
)
def test_rules(text, expected):
    assert str(simplify(parse(text))) == expected


def test_every_operator_has_a_latency():
    assert set(LATENCIES) == {operator.latency for operator in BUILT_IN.values()}
    assert latency_class(parse("max(x,square(x))/3")) == LATENCY_CLASSES[0]
    assert latency_class(parse("tanh(x)*tanh(x)")) == LATENCY_CLASSES[1]
    assert latency_class(parse("tanh(exp(x))")) == LATENCY_CLASSES[2]
    assert latency_class(parse("tanh(x)+erf(x)")) == LATENCY_CLASSES[3]


def test_bounds_on_nodes_follow_the_numbers_of_the_functions():
    for space in (three_node(), SPACES["n_ary"]):
        bounds = node_bounds(space)
        assert len(bounds) == len(space)
        for i in range(0, len(space), 97):
            heads = [str(space[i])]
            names = heads[0].replace(")", "(").replace(",", "(").split("(")
            operators = [n for n in names if n in BUILT_IN and n not in ("identity", "zero", "one")]
            assert bounds[i] == len(operators)
