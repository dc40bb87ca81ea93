"""Imagenette's and ImageNet's loaders on small trees of images that the tests write."""

import keras
import numpy as np
import pytest

from keras_actfn import datasets
from keras_actfn.datasets import image_folders, imagenet, imagenette

pytestmark = pytest.mark.once

CLASSES = [f"n{i:08d}" for i in (3, 1, 2, 4, 5, 6, 7, 8, 9, 10)]


@pytest.fixture
def tree(tmp_path):
    """Ten classes; every image has one colour, which says its class."""
    root = tmp_path / "imagenette2-160"
    for part, count in (("train", 2), ("val", 1)):
        for name in CLASSES:
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                value = 20 * sorted(CLASSES).index(name)
                image = np.full((24, 30 + index, 3), value, "uint8")
                keras.utils.save_img(folder / f"{index}.png", image, scale=False)
    return root


def test_images_and_labels(tree):
    for path in (tree, tree.parent):
        data = imagenette(path, image_size=16)
    assert data.x_train.shape == (20, 16, 16, 3) and data.x_test.shape == (10, 16, 16, 3)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(data.y_train), [2] * 10)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        np.testing.assert_allclose(x[:, 3, 4, 1], 20 * y / 255, atol=1e-5)
    assert datasets.load("imagenette", tree, image_size=8).classes == 10


def test_imagenet_comes_in_batches(tree, monkeypatch):
    monkeypatch.setitem(image_folders.CLASSES, "imagenet", 10)
    train, test = imagenet(tree, image_size=8, batch_size=6)
    batches = [(np.asarray(x), np.asarray(y)) for x, y in train]
    assert [len(x) for x, _ in batches] == [6, 6, 6, 2]
    for x, y in batches:
        np.testing.assert_allclose(x[:, 0, 0, 0], 20 * y / 255, atol=1e-5)
    assert sum(len(x) for x, _ in test) == 10


def test_nowhere(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_ACTFN_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="KERAS_ACTFN_DATA is not set"):
        imagenette()
    with pytest.raises(FileNotFoundError, match="imagenette2-160"):
        imagenette(tmp_path)


def test_other_numbers_of_classes(tree):
    with pytest.raises(ValueError, match=r"imagenet has 1000 classes.* Received: 10"):
        imagenet(tree)
    (tree / "train" / "extra").mkdir()
    with pytest.raises(ValueError, match="Only one of them has: extra"):
        imagenette(tree)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("kept", [0, 20, 0.7])
def test_a_truncated_image_is_named(tree, part, kept):
    path = tree / part / CLASSES[4] / "0.png"
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"{part}/{CLASSES[4]}/0\.png is no image, or is trunc"):
        imagenette(tree, image_size=8)


def test_a_truncated_image_is_named_while_batches_stream(tree, monkeypatch):
    monkeypatch.setitem(image_folders.CLASSES, "imagenet", 10)
    path = tree / "train" / CLASSES[4] / "1.png"
    path.write_bytes(path.read_bytes()[:-20])
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train, test = imagenet(tree, image_size=8, batch_size=6)
    model.evaluate(test, verbose=0)
    with pytest.raises(Exception, match=rf"train/{CLASSES[4]}/1\.png is no image, or is trunc"):
        model.fit(train, verbose=0)


def test_images_are_cropped_in_the_middle(tmp_path):
    image = np.zeros((4, 9, 3), "uint8")
    image[:, 2:6] = np.arange(48).reshape(4, 4, 3)  # what is left of the middle, rounded down
    keras.utils.save_img(tmp_path / "0.png", image, scale=False)
    files = [str(tmp_path / "0.png")]
    ((x, y),) = image_folders._decoded(files, [3], 4, 8, None)
    np.testing.assert_allclose(np.asarray(x)[0] * 255, image[:, 2:6], atol=1e-4)
    assert np.asarray(y).tolist() == [3]


@pytest.mark.parametrize("name", ["._0.png", ".ipynb_checkpoints"])
def test_hidden_files_in_a_class_are_named(tree, name):
    path = tree / "val" / CLASSES[2] / name
    path.write_bytes(b"\0\5\x16\7") if name.endswith("png") else path.mkdir()
    with pytest.raises(ValueError, match=rf"{CLASSES[2]}/{name}\. Delete it"):
        imagenette(tree, image_size=8)


def test_hidden_folders_are_no_classes(tree):
    (tree / "train" / ".ipynb_checkpoints").mkdir()
    (tree / "val" / ".cache").mkdir()
    (tree / "val" / CLASSES[0] / ".DS_Store").write_bytes(b"\0")
    assert imagenette(tree, image_size=8).classes == 10


def test_a_class_without_images(tree):
    (tree / "val" / CLASSES[7] / "0.png").rename(tree / "val" / CLASSES[7] / "0.txt")
    with pytest.raises(ValueError, match=rf"Each class has images.*none in .*val/{CLASSES[7]}"):
        imagenette(tree)


def test_images_beyond_the_memory_are_refused(tree):
    with pytest.raises(ValueError, match=r"machine's memory.*image_size=1000000"):
        imagenette(tree, image_size=1_000_000)
