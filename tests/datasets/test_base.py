"""The digits, and how datasets are split, thinned and resized."""

import numpy as np
import pytest
import scipy.ndimage

from keras_actfn import datasets
from keras_actfn.datasets import Dataset

pytestmark = pytest.mark.once


def test_digits_are_scikit_learns_split_without_overlap():
    from sklearn.datasets import load_digits

    data = datasets.digits()
    everything = load_digits().images.reshape(-1, 64) / 16
    both = np.concatenate([data.x_train, data.x_test]).reshape(-1, 64)
    order, expected = np.lexsort(both.T), np.lexsort(everything.T)
    np.testing.assert_array_equal(both[order], everything[expected])
    assert data.x_train.shape == (1442, 8, 8, 1) and data.x_test.shape == (355, 8, 8, 1)
    counts = np.bincount(data.y_test), np.bincount(load_digits().target)
    np.testing.assert_array_equal(counts[0], counts[1] // 5)


def test_digits_refuse_a_path():
    with pytest.raises(ValueError, match="read from no path"):
        datasets.load("digits", "somewhere")


@pytest.mark.parametrize("size", [5, 8, 16, 28])
def test_resize_is_bilinear_with_half_pixel_centres(size):
    images = datasets.digits().x_test[:6]
    expected = [
        scipy.ndimage.zoom(image[..., 0], size / 8, order=1, grid_mode=True, mode="nearest")
        for image in images
    ]
    actual = datasets.resize_images(images, size)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_resize_refuses(size):
    with pytest.raises(ValueError, match="positive integer"):
        datasets.resize_images(np.zeros((1, 8, 8, 1)), size)


@pytest.mark.parametrize("n", [1, 9, 10, 25, 60, 99, 100])
def test_balanced_indices(n):
    labels = np.repeat(np.arange(10), [10] * 9 + [10])
    chosen = datasets.balanced_indices(labels, n, seed=3)
    assert len(set(chosen)) == n
    counts = np.bincount(labels[chosen], minlength=10)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(chosen, datasets.balanced_indices(labels, n, seed=3))
    if n > 1:
        assert list(chosen) != list(datasets.balanced_indices(labels, n, seed=4))


def test_balanced_indices_when_a_class_runs_out():
    labels = np.array([0] * 3 + [1] * 50)
    counts = np.bincount(labels[datasets.balanced_indices(labels, 21)])
    np.testing.assert_array_equal(counts, [3, 18])


@pytest.mark.parametrize("n", [0, 11, -1])
def test_balanced_indices_refuse(n):
    with pytest.raises(ValueError, match="from 1 to the 10 there are"):
        datasets.balanced_indices(np.arange(10), n)


def test_train_validation_split_partitions():
    x = np.arange(100)
    y = x % 10
    (x_train, y_train), (x_held, y_held) = datasets.train_validation_split(x, y, 30, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate([x_train, x_held])), x)
    np.testing.assert_array_equal(np.bincount(y_held), [3] * 10)
    np.testing.assert_array_equal(y_train, x_train % 10)
    np.testing.assert_array_equal(x_train, np.sort(x_train))


@pytest.mark.parametrize("validation", [0, 100])
def test_train_validation_split_refuses(validation):
    with pytest.raises(ValueError, match="validation examples is from 1 to 99"):
        datasets.train_validation_split(np.zeros(100), np.zeros(100), validation)


def test_subset_keeps_the_test_set():
    data = datasets.digits()
    small = data.subset(100)
    np.testing.assert_array_equal(np.bincount(small.y_train), [10] * 10)
    np.testing.assert_array_equal(small.x_test, data.x_test)


def test_dataset_refuses_unpaired_labels():
    x, y = np.zeros((4, 8, 8, 1)), np.zeros(3, int)
    with pytest.raises(ValueError, match="N labels"):
        Dataset(x, y, x, y, name="mine", classes=2, source="here")


@pytest.mark.parametrize("n", [1, 9, 10, 25, 60, 99, 100])
def test_stratified_indices_of_classes_of_one_size_are_the_balanced_ones(n):
    labels = np.arange(100) % 10
    chosen = datasets.stratified_indices(labels, n, seed=3)
    np.testing.assert_array_equal(chosen, datasets.balanced_indices(labels, n, seed=3))


def test_stratified_indices_keep_the_shares_of_classes():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [900, 90, 2, 1]))
    for n, counts in {100: [90, 9, 1, 0], 4: [2, 1, 1, 0], 989: [899, 89, 1, 0]}.items():
        drawn = np.bincount(labels[datasets.stratified_indices(labels, n)], minlength=4)
        assert np.abs(drawn - counts).max() <= 1 and drawn.sum() == n
        assert drawn[2] == 1 and drawn[3] == 0
    # Of the last one of each class, only when there are no others.
    left = np.setdiff1d(np.arange(993), datasets.stratified_indices(labels, 989))
    np.testing.assert_array_equal(np.bincount(labels[left]), [1, 1, 1, 1])
