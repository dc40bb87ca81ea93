"""One change away: which formulas are, and that the others are not."""

import pytest

from keras_actfn.expressions import count_nodes, four_node, neighbors, parse, simplify

pytestmark = pytest.mark.once

FEW = {
    "unary": ["zero", "one", "relu", "tanh"],
    "binary": ["add", "sub"],
    "n_ary": ["max_n", "min_n"],
}


def around(text, most_nodes, operators=FEW):
    return {str(f) for f in neighbors(parse(text), operators, most_nodes)}


def test_all_changes_of_a_small_formula():
    # Another operator, one less, the arguments the other way round; 0 and 1 become numbers.
    assert around("sub(relu(x),x)", 2) == {
        *("add(relu(x),x)", "sub(tanh(x),x)", "sub(x,relu(x))", "relu(x)", "x"),
    }
    # One more: around the whole, around each part, beside x or 1. Two more do not fit.
    assert around("relu(x)", 2) == {
        *("tanh(x)", "x", "tanh(relu(x))", "relu(tanh(x))"),
        *("add(relu(x),x)", "add(x,relu(x))", "sub(relu(x),x)", "sub(x,relu(x))"),
        *("add(relu(x),1)", "add(1,relu(x))", "sub(relu(x),1)", "sub(1,relu(x))"),
        *("relu(add(x,x))", "relu(add(x,1))", "relu(add(1,x))", "relu(sub(x,1))", "relu(sub(1,x))"),
    }
    assert "sub(relu(x),tanh(x))" in around("relu(x)", 3)
    assert around("max_n(x,relu(x),tanh(x))", 3) >= {
        *("min_n(x,relu(x),tanh(x))", "x", "relu(x)", "max(x,relu(x))"),
    } - {"max(x,relu(x))"}


@pytest.mark.parametrize("text", ["sub(relu(x),bessel_i0e(x))", "mul(tanh(exp(x)),swish(x))", "x"])
def test_neighbors_are_short_simplified_and_different(text):
    found = neighbors(parse(text), four_node().operators, 4)
    assert len(set(found)) == len(found) > 50 and parse(text) not in found
    for function in found:
        assert simplify(function) == function and "x" in str(function)
        assert count_nodes(function) <= 4


def test_what_has_no_room_grows_shorter_only():
    assert all(count_nodes(f) <= 3 for f in neighbors(parse("tanh(relu(tanh(relu(x))))"), FEW, 3))


def test_neighbors_of_neighbors_reach_a_function_of_another_shape():
    wanted = parse("sub(relu(x),tanh(x))")
    (first,) = [f for f in neighbors(parse("tanh(x)"), FEW, 3) if str(f) == "sub(tanh(x),relu(x))"]
    assert wanted in neighbors(first, FEW, 3)
