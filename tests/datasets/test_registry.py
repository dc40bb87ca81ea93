"""The table of datasets: every row is one that `load` can read, also a row from outside."""

import inspect
import pickle
import tarfile
from io import BytesIO

import keras
import numpy as np
import pytest

from keras_actfn import datasets
from keras_actfn.datasets import DATASETS, Dataset, image_folders, load, register_dataset

pytestmark = pytest.mark.once


def _fashion_mnist(folder, monkeypatch):
    for part, count in (("train", 30), ("t10k", 20)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            content = np.arange(np.prod(shape)) % 10
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + content.astype("u1").tobytes())
    return {"verify": False}


def _cifar(name, folder):
    archive, inside, train, test, key, classes = datasets.cifar.FILES[name]
    with tarfile.open(folder / archive, "w:gz") as file:
        for part in (*train, test):
            data = np.arange(20 * 3072).reshape(20, 3072) % 251
            batch = {b"data": data.astype("u1"), key: [i % classes for i in range(20)]}
            content = pickle.dumps(batch, protocol=2)
            member = tarfile.TarInfo(f"{inside}/{part}")
            member.size = len(content)
            file.addfile(member, BytesIO(content))
    return {}


def _imagenette(folder, monkeypatch):
    for part in ("train", "val"):
        for label in range(image_folders.CLASSES["imagenette"]):
            inside = folder / part / f"n{label}"
            inside.mkdir(parents=True)
            image = np.full((24, 24, 3), 20 * label, "uint8")
            keras.utils.save_img(inside / "0.png", image, scale=False)
    return {}


#: How to write a small copy of each dataset into a folder; returns further options of `load`.
SMALL = {
    "fashion_mnist": _fashion_mnist,
    "digits": None,
    "cifar10": lambda folder, _: _cifar("cifar10", folder),
    "cifar100": lambda folder, _: _cifar("cifar100", folder),
    "imagenette": _imagenette,
}


def test_every_dataset_has_a_small_copy_here():
    assert set(SMALL) == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_the_contract_of_a_dataset(name, tmp_path, monkeypatch):
    write = SMALL[name]
    options = write(tmp_path, monkeypatch) if write else {}
    data = load(name, tmp_path if write else None, image_size=12, **options)
    assert data.name == name and data.input_shape[:2] == (12, 12)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.float32 and y.dtype == np.int32 and len(x) == len(y) > 0
        assert 0 <= x.min() < x.max() <= 1
    assert data.y_train.min() >= 0 and data.y_train.max() < data.classes
    parameters = inspect.signature(DATASETS[name]).parameters
    assert next(iter(parameters)) == "path" and parameters["path"].default is None
    assert inspect.getdoc(DATASETS[name]) and name in datasets.__all__
    if write:
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileNotFoundError, match="empty"):
            load(name, tmp_path / "empty")


def squares(path=None, *, image_size=None):
    """A dataset from outside."""
    x, y = np.linspace(0, 1, 10 * 64).reshape(10, 8, 8, 1), np.arange(10) % 2
    x, y = x.astype("float32"), y.astype("int32")
    data = Dataset(x, y, x, y, name="squares", classes=2, source="made up")
    return data if image_size is None else data.resized(image_size)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(datasets, "DATASETS", dict(DATASETS))
    register_dataset("squares", squares)


def test_a_dataset_from_outside(registered):
    assert load("squares", image_size=16).x_train.shape == (10, 16, 16, 1)
    register_dataset("squares", squares)  # as when a module is imported again
    with pytest.raises(ValueError, match="Did you mean 'squares'"):
        load("square")


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("digits", squares, "'digits', which is taken"),
        ("auto", squares, "is not 'auto'"),
        ("my data", squares, "letters, digits and underscores only"),
        (3, squares, "Received: 3"),
        ("other", lambda: None, r"is called as function\(path, image_size"),
        ("other", 5, "is called as"),
    ],
)
def test_what_cannot_be_registered(registered, name, function, message):
    with pytest.raises(ValueError, match=message):
        register_dataset(name, function)
    assert set(datasets.DATASETS) == {*SMALL, "squares"}


def test_a_function_that_returns_something_else(registered):
    register_dataset("pair", lambda path=None, *, image_size=None: (1, 2))
    with pytest.raises(ValueError, match=r"Received from that of 'pair': tuple"):
        load("pair")
