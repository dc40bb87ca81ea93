"""Crops and mixed batches against NumPy slices and their invariants."""

import keras
import numpy as np
import pytest

from keras_actfn.training.augmentation import RandomPaddedCrop, RandomResizedCrop
from keras_actfn.training.batches import AugmentedBatches
from keras_actfn.training.recipes import randaugment_and_mixing


def images(n=64, size=6, channels=3, seed=0):
    return np.random.default_rng(seed).random((n, size, size, channels), "float32")


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_padded_crops_are_slices_at_places_of_their_own():
    x, p = images(), 2
    y = numbers(RandomPaddedCrop(p, seed=1)(x, training=True))
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    places = []
    for image, crop in zip(padded, y, strict=True):
        found = [
            (i, j)
            for i, j in np.ndindex(2 * p + 1, 2 * p + 1)
            if np.allclose(image[i : i + 6, j : j + 6], crop, atol=1e-6)
        ]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 15  # of 25, in 64 draws
    np.testing.assert_array_equal(numbers(RandomPaddedCrop(p)(x)), x)


def test_crops_of_a_size_are_slices_of_every_place():
    x = images(size=9)
    crop = RandomPaddedCrop(0, size=(6, 7), seed=1)
    y = numbers(crop(x, training=True))
    assert y.shape == crop.compute_output_shape(x.shape) == (64, 6, 7, 3)
    places = set()
    for image, part in zip(x, y, strict=True):
        found = [
            (i, j)
            for i, j in np.ndindex(4, 3)
            if np.allclose(image[i : i + 6, j : j + 7], part, atol=1e-6)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 12
    np.testing.assert_array_equal(numbers(crop(x)), x[:, 1:7, 1:8])
    with pytest.raises(ValueError, match="at most the images' height and width"):
        crop(x[:, :5])


def test_resized_crops_keep_a_linear_image_linear():
    # On a ramp of columns a crop is a ramp again: its slope is the crop's width, and its
    # ends lie inside the image.
    size = 32
    ramp = np.broadcast_to(
        np.arange(size, dtype="float32")[None, None, :, None], (200, size, size, 1)
    )
    y = numbers(RandomResizedCrop(0.08, seed=0)(ramp, training=True))[:, 0, :, 0]
    middle = y[:, 4:-4]  # the border is filled with the nearest pixel
    width = np.median(np.diff(middle, axis=1), axis=1)
    assert 0.2 < width.min() < 0.45 and 0.9 < width.max() <= 1.001
    np.testing.assert_allclose(
        np.diff(middle, axis=1), width[:, None] * np.ones((1, 23)), atol=1e-3
    )
    assert y.min() >= -1e-4 and y.max() <= size - 1 + 1e-4
    still = numbers(RandomResizedCrop(evaluation=0.5)(ramp[:1]))[0, 0, :, 0]
    np.testing.assert_allclose(still, 8 + (np.arange(size) + 0.5) / 2 - 0.5, atol=1e-4)


@pytest.mark.once
def test_layers_are_kept_by_their_configuration():
    for layer in (RandomPaddedCrop(3, (4, 5), seed=5), RandomResizedCrop(0.2, 0.9, seed=5)):
        copy = type(layer).from_config(layer.get_config())
        x = images(4)
        np.testing.assert_array_equal(
            numbers(copy(x, training=True)), numbers(layer(x, training=True))
        )


def mixing(seed):
    return [[keras.layers.MixUp(0.5, seed=seed, data_format="channels_last")]]


@pytest.mark.once
def test_mixed_batches_mix_labels_as_images():
    # Images that are constant, equal to their class: the mixture shows in both.
    y = np.arange(20) % 4
    x = np.broadcast_to(y[:, None, None, None], (20, 5, 5, 3)).astype("float32")
    batches = AugmentedBatches(x, y, 4, mixing, batch_size=8, seed=3)
    assert len(batches) == 3
    for index in range(3):
        a, labels = batches[index]
        np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(a[:, 0, 0, 0], labels @ np.arange(4), atol=1e-4)
    again, other = (AugmentedBatches(x, y, 4, mixing, batch_size=8, seed=s)[0][0] for s in (3, 4))
    np.testing.assert_array_equal(again, batches[0][0])
    assert np.abs(other - again).max() > 0.01


@pytest.mark.once
@pytest.mark.parametrize("channels", [1, 3])
def test_the_160_pixel_recipes_batches(channels):
    x = images(8, 16, channels)
    y = np.arange(8) % 3
    batches = AugmentedBatches(x, y, 3, randaugment_and_mixing, batch_size=8)
    a, labels = batches[0]
    assert a.shape == x.shape and labels.shape == (8, 3)
    assert np.isfinite(a).all() and a.min() >= -1e-5 and a.max() <= 1 + 1e-5
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    assert np.abs(a - x).max() > 0.01
