"""The candidates of a search: one number for one function, however it is written."""

import numpy as np
import pytest
from scipy import special

from keras_actfn.expressions import SearchSpace, parse, three_node
from keras_actfn.search.pool import Pool

pytestmark = pytest.mark.once

SMALL = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["zero", "identity", "relu", "exp", "tanh"],
    binary=["add", "mul", "max"],
)


@pytest.fixture(scope="module")
def unique():
    return SMALL.unique()


def test_a_function_is_found_by_any_of_its_forms(unique):
    pool = Pool(unique)
    relu = unique.index(parse("max(relu(x),zero(x))"))
    for spec in ("relu", "relu(x)", " max(x,0)", "add(zero(x),relu(x))", parse("0.5*x+0.5*abs(x)")):
        assert pool.find(spec) == relu
    assert len(pool) == len(unique)


def test_every_unique_function_is_found_by_its_values_alone(unique):
    pool = Pool(unique)
    for number in range(len(unique)):
        assert pool.find(f"0+{unique.expressions[number]}") == number


def test_an_extra_function_of_the_space_is_that_candidate_under_its_own_name(unique):
    pool = Pool(unique, extra=["relu", "gelu", "swish", "mul(x,sigmoid(x))", "silu"])
    assert len(pool) == len(unique) + 2
    numbers = [pool.find(spec) for spec in ("relu", "gelu", "silu")]
    assert numbers == [unique.index(parse("max(relu(x),zero(x))")), len(unique), len(unique) + 1]
    assert pool.names(numbers) == ["relu(x)", "gelu(x)", "swish(x)"]
    assert str(pool.expression(0)) == str(unique.expressions[0])


def test_outputs_are_the_values_on_the_inputs(unique):
    pool = Pool(unique, extra=["gelu", "exp(exp(exp(x)))"])
    x = unique.inputs
    numbers = [pool.find(spec) for spec in ("gelu", "exp(x)+tanh(x)", "mul(x,exp(x))")]
    expected = [x * special.ndtr(x), np.exp(x) + np.tanh(x), x * np.exp(x)]
    outputs = pool.outputs(numbers)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(
        pool.valid, np.isfinite(pool.outputs(np.arange(len(pool)))).all(axis=1)
    )
    assert pool.valid[pool.find("gelu")] and not pool.valid[pool.find("exp(exp(exp(x)))")]


def test_opposite_functions_are_one_where_the_space_says_so():
    unique = SMALL.unique(up_to_sign=True)
    pool = Pool(unique)
    assert pool.find("negative(relu(x))") == pool.find("relu(x)")
    with pytest.raises(ValueError, match="none of the"):
        Pool(SMALL.unique()).find("negative(relu(x))")


def test_functions_that_hardly_differ_are_two(unique):
    pool = Pool(unique, extra=["relu(x)+0.001"])
    assert pool.find("relu(x)+0.001") == len(unique)
    assert pool.find("relu(x)+0.000000000001") == pool.find("relu")


def test_what_is_not_there_is_an_error_with_the_fix(unique):
    pool = Pool(unique)
    with pytest.raises(ValueError, match=r"Received: sinh\(x\).*Add it to the pool with extra"):
        pool.find("sinh")
    with pytest.raises(ValueError, match="Unknown function 'reluu'"):
        pool.find("reluu")
    for number in (-1, len(pool)):
        with pytest.raises(IndexError, match=f"there is no number {number}"):
            pool.expression(number)


def test_the_baselines_of_the_paper_lie_in_the_three_node_space():
    unique = three_node().unique()
    baselines = ["relu", "elu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh"]
    pool = Pool(unique, extra=baselines)
    assert len(pool) == len(unique)
    numbers = [pool.find(spec) for spec in baselines]
    assert len(set(numbers)) == len(baselines)
    assert pool.names(numbers) == [f"{spec}(x)" for spec in baselines]
    for number, spec in zip(numbers, baselines, strict=True):
        assert number == unique.index(parse(f"add(zero(x),{spec}(x))"))


def test_functions_that_join_have_a_number_of_their_values_alone(unique):
    pool, other = Pool(unique, extra=["gelu"]), Pool(unique, extra=["gelu"])
    assert pool.number_of(parse("add(x,0)")) == unique.index(parse("add(identity(x),zero(x))"))
    function, same = (
        parse("sub(relu(x),tanh(exp(x)))"),
        parse("negative(sub(tanh(exp(x)),relu(x)))"),
    )
    number = pool.number_of(function)
    assert number == other.number_of(same) and len(pool) <= number < 2**53
    assert pool.limit == len(pool) == len(unique) + 1 and not pool.holds([number])[0]
    pool.join(number, function)
    assert number < pool.limit < 2**53 and len(pool) == len(unique) + 1
    assert pool.holds([0, number, number + 1, -1]).tolist() == [True, True, False, False]
    assert pool.find(same) == pool.number_of(same) == number
    assert pool.names([number, len(unique)]) == [str(function), "gelu(x)"]
    expected = [function(unique.inputs), unique.outputs[3]]
    np.testing.assert_allclose(pool.outputs([number, 3]), expected, rtol=1e-6)
    pool.join(number, same)  # it stays what it was
    assert str(pool.expression(number)) == str(function)
    assert number not in pool.draw(10**6)
    with pytest.raises(IndexError, match=f"there is no number {number + 1}"):
        pool.outputs([number + 1])
