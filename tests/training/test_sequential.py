"""Looks at a paired difference: which interval they have, when they stop, how often they err."""

import numpy as np
import pytest
from scipy import stats

from keras_actfn.training.sequential import LOOKS, look_until_decided

pytestmark = pytest.mark.once


def over(differences):
    return lambda n: (np.asarray(differences)[:n], np.zeros(n))


def test_each_look_is_scipys_interval_at_a_third_of_the_error():
    differences = np.array([0.3, -0.2, 0.25, 0.1, -0.4, 0.2, 0.1, 0.0, 0.3, -0.1, 0.2, -0.2])
    looks = look_until_decided(over(differences))
    assert [look.seeds for look in looks] == list(LOOKS)
    for look in looks:
        part = differences[: look.seeds]
        interval = stats.ttest_1samp(part, 0).confidence_interval(1 - 0.05 / 3)
        np.testing.assert_allclose((look.low, look.high), interval, rtol=1e-12)
        assert look.difference == pytest.approx(part.mean())


def test_it_stops_as_soon_as_zero_is_outside():
    clear = 1 + 0.01 * np.arange(12)
    assert [look.seeds for look in look_until_decided(over(clear))] == [3]
    worse = [-2.0, 0.5, -1.0, *-1 - 0.1 * np.arange(9)]
    looks = look_until_decided(over(worse))
    assert looks[-1].high < 0 and len(looks) > 1


def test_equal_functions_are_told_apart_in_at_most_one_of_twenty_searches():
    random = np.random.default_rng(0)
    draws = random.normal(size=(4000, 12))
    wrong = np.mean([look_until_decided(over(row))[-1].decided for row in draws])
    # Believing the ordinary interval of each look would err about 10 % of the time.
    assert 0.02 < wrong <= 0.05
    naive = [
        any(stats.ttest_1samp(row[:n], 0).pvalue < 0.05 for n in LOOKS) for row in draws[:1000]
    ]
    assert np.mean(naive) > 0.07


def test_no_difference_at_all_is_no_evidence():
    looks = look_until_decided(over(np.zeros(12)))
    assert not looks[-1].decided and looks[-1].low == looks[-1].high == 0


def test_differences_that_are_equal_by_chance_do_not_end_it():
    differences = [0.01] * 3 + [-0.01, 0.02, 0.0, -0.02, 0.01, 0.0, -0.01, 0.01, 0.0]
    looks = look_until_decided(over(differences))
    assert [look.seeds for look in looks] == list(LOOKS) and not looks[-1].decided


@pytest.mark.parametrize("looks", [(), (1, 3), (6, 3), (3, 3), "36", 3, (3.0,)])
def test_looks_are_increasing_numbers(looks):
    with pytest.raises(ValueError, match="increasing list of numbers of seeds"):
        look_until_decided(over(np.zeros(12)), looks)
