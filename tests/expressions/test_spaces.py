"""Search spaces: counts, order, and both ways between functions and numbers."""

import dataclasses
import importlib
import importlib.util
import pickle

import pytest

from keras_actfn.expressions import (
    SPACES,
    SearchSpace,
    SpecError,
    coatnet,
    four_node,
    parse,
    register_operator,
    spaces,
    three_node,
)
from keras_actfn.expressions.spaces import UNARY_NAMES

operators = importlib.import_module(
    "keras_actfn.expressions.operators"
)  # the package has a function of that name

pytestmark = pytest.mark.once

COUNTS = {"three_node": 5_103, "four_node": 1_023_516, "coatnet": 238_341}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_numbers(name):
    space = SPACES[name]()
    assert len(space) == COUNTS[name]
    for i in [*range(0, len(space), len(space) // 97), len(space) - 1]:
        assert space.index(space[i]) == i
        assert parse(str(space[i])) == space[i]
    assert space[-1] == space[len(space) - 1]
    with pytest.raises(IndexError, match=f"The space has {len(space)} functions"):
        space[len(space)]


def test_the_order_is_that_of_digits():
    space = three_node()
    assert list(map(str, space[:2])) == ["add(zero(x),zero(x))", "add(zero(x),one(x))"]
    assert str(space[27]) == "add(one(x),zero(x))"
    assert str(space[27 * 27]) == "sub(zero(x),zero(x))"
    assert len(set(space)) == len(space)
    assert [str(f) for f in space] == [str(space[i]) for i in range(len(space))]


def test_names_are_those_of_the_act_bench_files():
    space = three_node()
    for name in ("min(square(x),selu(x))", "mul(erfc(x),identity(x))"):
        assert str(space[space.index(parse(name))]) == name
    assert parse("selu(sinh(expm1(arctan(x))))") in four_node()
    assert parse("square(erfc(softplus(x)))") in coatnet()
    assert parse("mish(x)") in coatnet()


def test_what_is_not_in_a_space():
    space = three_node()
    for text in ("x", "add(x,tanh(x))", "mish(x)", "add(mish(x),tanh(x))", "tanh(tanh(x))"):
        assert parse(text) not in space
    with pytest.raises(ValueError, match=r"add\(x,tanh\(x\)\) is not in this space of 5103"):
        space.index(parse("add(x,tanh(x))"))


def test_schemas_may_hold_operators_and_numbers():
    space = SearchSpace(["unary(x)*sigmoid(binary(2,unary(x)))"], unary=["relu", "elu"])
    assert len(space) == 2 * 7 * 2
    assert str(space[9]) == "mul(relu(x),sigmoid(pow(2,elu(x))))"
    assert space.index(space[23]) == 23
    assert len(SearchSpace(["n-ary(unary(x),unary(x),unary(x))"])) == 27**3 * 4


def test_sampling_is_reproducible_and_without_repetition():
    space = four_node()
    sample = space.sample(50, seed=3)
    assert sample == space.sample(50, seed=3) != space.sample(50, seed=4)
    assert len(set(sample)) == 50
    with pytest.raises(ValueError, match="Cannot draw 2 distinct functions out of 1"):
        SearchSpace(["tanh(x)"]).sample(2, seed=0)


def test_the_hash_tells_spaces_apart():
    hashes = {make().hash for make in SPACES.values()}
    assert len(hashes) == 3
    assert SearchSpace(**three_node().get_config()).hash == three_node().hash
    assert pickle.loads(pickle.dumps(three_node())).hash == three_node().hash


def test_the_lists_of_the_papers_are_frozen(monkeypatch):
    """An operator added to the table, built in or registered, changes no space."""
    hashes = {name: SPACES[name]().hash for name in SPACES}
    new = dataclasses.replace(operators.UNARY[0], name="test_new_built_in")
    for name in ("UNARY", "EXTRA_UNARY"):
        monkeypatch.setattr(operators, name, (*getattr(operators, name), new))
    monkeypatch.setitem(operators.BUILT_IN, new.name, new)
    register_operator("test_new_registered", lambda x: x, reference=lambda x: x)
    spec = importlib.util.spec_from_file_location("keras_actfn.expressions._again", spaces.__file__)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    for name, count in COUNTS.items():
        space = again.SPACES[name]()
        assert len(space) == count and space.hash == hashes[name]
        assert not any("test_new" in o for names in space.operators.values() for o in names)
    own = SearchSpace(["unary(x)"], unary=["test_new_registered", "relu"])
    assert str(own[0]) == "test_new_registered(x)"


def test_sizes_are_refused_first():
    nested = "x"
    for _ in range(8):
        nested = f"unary({nested})"
    space = SearchSpace([nested])
    assert len(space) == 27**8
    with pytest.raises(ValueError, match=r"at most 16,777,216\. Received: a space of 282,429,536"):
        space.unique()
    wide = SearchSpace(["unary(unary(unary(unary(unary(x)))))"], unary=UNARY_NAMES[:24])
    with pytest.raises(ValueError, match=r"take at most 2,147,483,648 bytes"):
        wide.unique()
    for levels in (14, 62):
        nested = "x"
        for _ in range(levels):
            nested = f"unary({nested})"
        with pytest.raises(ValueError, match=r"at most 2\^63 - 1 functions"):
            SearchSpace([nested])
    assert len(SearchSpace([nested], unary=["relu"])) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"schemas": [None]},
        {"schemas": None},
        {"schemas": 3},
        {"schemas": ["unary(x)", 10**400]},
        {"schemas": ["9" * 400 + "*unary(x)"]},
        {"schemas": ["(" * 100_000 + "x"]},
        {"schemas": ["-" * 99_999 + "x"]},
        {"schemas": ["x+" * 60_000 + "x"]},
        {"schemas": ["unary(x)"], "unary": None},
        {"schemas": ["unary(x)"], "unary": "relu"},
        {"schemas": ["unary(x)"], "unary": [None, "relu"]},
        {"schemas": ["unary(x)"], "unary": [["relu"]]},
    ],
)
def test_hostile_arguments_are_value_errors(arguments):
    with pytest.raises(ValueError) as caught:
        SearchSpace(**arguments)
    assert len(str(caught.value)) < 1000


def test_wrong_spaces():
    with pytest.raises(SpecError, match=r"Unknown operator 'unaryy'. Did you mean 'unary'"):
        SearchSpace(["unaryy(x)"])
    with pytest.raises(ValueError, match=r"'tanhh' in the list 'unary'. Did you mean 'tanh'"):
        SearchSpace(["unary(x)"], unary=["tanhh"])
    with pytest.raises(ValueError, match="takes operators of one argument; 'add' takes 2"):
        SearchSpace(["unary(x)"], unary=["add"])
    with pytest.raises(ValueError, match="needs one operator or more, each once"):
        SearchSpace(["unary(x)"], unary=["relu", "relu"])
    with pytest.raises(ValueError, match="needs one schema or more"):
        SearchSpace([])
