"""How functions of a benchmark are compared: scores, curves and noise by hand."""

import pickle

import numpy as np
import pytest

from keras_actfn.search import ActBench, bench

pytestmark = pytest.mark.once

NAN = np.nan
# Learns; learns, two seeds; worse than chance; diverged; one of two diverged; not trained.
RMSE = np.array([[0.2, NAN], [0.4, 0.2], [9.0, NAN], [1.0, NAN], [0.3, 1.0], [NAN, NAN]])
DIVERGED = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [0, 0]], bool)


def made_up(**changes):
    curves = np.full((6, 2, 3), NAN)
    curves[:, 0, -1] = np.where(DIVERGED[:, 0], NAN, RMSE[:, 0])
    curves[:, 1, -1] = np.where(DIVERGED[:, 1], NAN, RMSE[:, 1])
    curves[0, 0, :2] = 0.8, 0.5
    curves[3, 0, 0] = 0.9  # Diverged in its second epoch.
    runs = {"validation_rmse": RMSE, "test_rmse": RMSE + 0.1, "training_loss": RMSE**2}
    functions = tuple(f"add(x,{i})" for i in range(6))
    values = dict(metric="rmse", mode="min", chance=1.0, diverged=DIVERGED, seeds=(0, 1))
    values |= {"epoch_runs": {"metric": curves, "loss": curves**2}}
    cdfs = np.zeros((6, 0), "float32")
    return ActBench(
        "made up", functions, tuple((f,) for f in functions), runs, cdfs, **values | changes
    )


BELOW = np.nextafter(-1.0, -2)


def test_scores_of_a_metric_to_minimise():
    found = made_up()
    expected = [-0.2, -0.3, -1.0, BELOW, (-0.3 + BELOW) / 2, NAN]
    np.testing.assert_allclose(found.score, expected, rtol=1e-15)
    # A diverged training is worse than all others, those beyond chance included.
    assert found.score[3] < np.nanmin(found.score[:3])
    assert found.test_score[0] == pytest.approx(-0.3)
    assert np.nanargmax(found.score) == 0
    np.testing.assert_array_equal(found.validation_rmse[:2], [0.2, 0.30000000000000004])


def test_scores_of_a_metric_to_maximise():
    found = made_up(mode="max", chance=0.25)
    below = np.nextafter(0.25, 0)
    np.testing.assert_allclose(found.score[:4], [0.25, 0.325, 9.0, below], rtol=1e-15)


def test_without_a_chance_the_worst_score_is_the_floor():
    found = made_up(chance=None)
    assert found.score[2] == -9.0 and found.score[3] < -9.0


def test_curves_end_in_the_score():
    found = made_up()
    assert found.curves.shape == (6, 3)
    np.testing.assert_array_equal(found.curves[:, -1], found.score)
    np.testing.assert_array_equal(found.curves[0], [-0.8, -0.5, -0.2])
    # Epochs that were not recorded are not known; those after divergence are the worst.
    assert np.isnan(found.curves[1, :2]).all()
    np.testing.assert_array_equal(found.curves[3], [-0.9, BELOW, BELOW])
    np.testing.assert_allclose(found.loss_curves[0], [0.64, 0.25, 0.04])
    np.testing.assert_array_equal(made_up(epoch_runs={}).curves[:, 0], found.score)


def test_noise_is_the_pooled_deviation_of_those_that_learn():
    assert made_up().noise == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert np.isnan(made_up(diverged=np.ones((6, 2), bool)).noise)


def test_a_task_without_spectra():
    found = made_up()
    assert found.valid.all()
    features = found.features(np.arange(4), method="union")
    assert features.cdfs is None and len(features) == 4


def test_a_benchmark_can_be_pickled():
    found = pickle.loads(pickle.dumps(made_up()))
    np.testing.assert_array_equal(found.validation_rmse, made_up().validation_rmse)
    with pytest.raises(AttributeError, match="validation_speed"):
        _ = found.validation_speed


def test_the_first_benchmark_keeps_its_numbers():
    found = bench("fashion_cnn")
    ended = ~found.diverged.any(1) & (found.validation_accuracy >= 0.1)
    np.testing.assert_array_equal(found.score[ended], found.validation_accuracy[ended])
    best = int(np.nanargmax(found.score))
    assert (found.functions[best], found.score[best]) == ("mul(log_sigmoid(x),selu(x))", 0.8606)
    assert (found.score[found.diverged.all(1)] < 0.1).all()
