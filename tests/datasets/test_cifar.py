"""CIFAR's loaders on small files in the official format: well-formed, damaged, malicious."""

import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from keras_actfn import datasets
from keras_actfn.datasets import cifar10, cifar100
from keras_actfn.datasets.cifar import FILES
from keras_actfn.datasets.fashion import DATA_VARIABLE
from keras_actfn.datasets.restricted_pickle import load_pickle

pytestmark = pytest.mark.once

ROWS = 20
LOADERS = {"cifar10": cifar10, "cifar100": cifar100}


def batch(name, seed, rows=ROWS):
    """One file's dictionary, with the keys of the official files."""
    *_, key, classes = FILES[name]
    data = np.random.default_rng(seed).integers(0, 256, (rows, 3072), dtype=np.uint8)
    labels = [(7 * i + seed) % classes for i in range(rows)]
    extra = {b"batch_label": b"batch", b"filenames": [b"a.png"] * rows}
    if name == "cifar100":
        extra[b"coarse_labels"] = [label // 5 for label in labels]
    return {b"data": data, key: labels, **extra}


def contents(name, protocol=2):
    _, _, train, test, _, _ = FILES[name]
    parts = (*train, test)
    return {part: pickle.dumps(batch(name, i), protocol) for i, part in enumerate(parts)}


def write_folder(root, name, files):
    folder = root / FILES[name][1]
    folder.mkdir()
    for part, content in files.items():
        (folder / part).write_bytes(content)
    return folder


def write_archive(root, name, files):
    path = root / FILES[name][0]
    with tarfile.open(path, "w:gz") as archive:
        for part, content in files.items():
            member = tarfile.TarInfo(f"{FILES[name][1]}/{part}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_pixels_and_labels(tmp_path, name, protocol, write):
    place = write(tmp_path, name, contents(name, protocol))
    *_, train, _, key, classes = FILES[name]
    for path in (place, tmp_path):
        data = LOADERS[name](path)
        assert data.x_train.shape == (ROWS * len(train), 32, 32, 3)
        assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
        assert (data.classes, data.name) == (classes, name)
        expected = [batch(name, i) for i in range(len(train) + 1)]
        planes = np.stack([row.reshape(3, 32, 32) for row in expected[0][b"data"]])
        np.testing.assert_allclose(
            data.x_train[:ROWS, 5, 9, 2], planes[:, 2, 5, 9] / 255, rtol=1e-6
        )
        np.testing.assert_array_equal(data.y_train, np.concatenate([e[key] for e in expected[:-1]]))
        np.testing.assert_array_equal(data.y_test, expected[-1][key])
    assert datasets.load(name, place, image_size=40).x_test.shape == (ROWS, 40, 40, 3)


def test_python_2_pickles_are_read():
    # What Python 2 wrote, opcode by opcode: byte strings, and NumPy's names of that time.
    data = bytes(range(6))
    content = (
        b"\x80\x02}q\x00U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01"
        b"\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06"
        + data
        + b"tbs."
    )
    loaded = load_pickle(content, "this")
    np.testing.assert_array_equal(loaded[b"data"], [[0, 1, 2], [3, 4, 5]])


class Malicious:
    """Unpickling this by ordinary means makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


class Evaluated:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (eval, (f"__import__('os').mkdir({self.path!r})",))


@pytest.mark.parametrize("kind", [Malicious, Evaluated])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_a_malicious_pickle_runs_nothing(tmp_path, kind, protocol, write):
    victim = tmp_path / "victim"
    bad = pickle.dumps({**batch("cifar10", 0), b"more": kind(victim)}, protocol)
    pickle.loads(bad)  # it is what it says
    victim.rmdir()
    place = write(tmp_path, "cifar10", {**contents("cifar10"), "data_batch_3": bad})
    with pytest.raises(ValueError, match=r"data_batch_3 asks for '.*\.(mkdir|eval)'.*tampered"):
        cifar10(place)
    assert not victim.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array([Malicious("/nowhere")], dtype=object),
        np.array(["text"]),
        np.zeros(2, [("a", "u1"), ("b", object)]),
        np.float64(1.0),
        np.ma.array([1, 2]),
        np.arange(3).view(np.recarray),
        set,
        len,
    ],
    ids=["objects", "strings", "records", "scalar", "masked", "recarray", "a class", "a function"],
)
def test_only_arrays_of_numbers(value):
    with pytest.raises(ValueError, match="which no CIFAR file does"):
        load_pickle(pickle.dumps({b"data": value}, 2), "this")


def test_sizes_of_an_array_are_checked():
    content = pickle.dumps({b"data": np.zeros((3, 4), np.uint8)}, 2)
    at = content.index(b"K\x03K\x04\x86")
    larger = content[: at + 1] + b"\x7f" + content[at + 2 :]
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_pickle(larger, "this")


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -5000])
def test_truncated_pickle(tmp_path, keep):
    files = contents("cifar10")
    files["test_batch"] = files["test_batch"][:keep]
    with pytest.raises(ValueError, match="test_batch is no pickle of Python, or is truncated"):
        cifar10(write_folder(tmp_path, "cifar10", files))


@pytest.mark.parametrize("change", [lambda c: c[: len(c) // 2], lambda c: b"<html>", lambda c: b""])
def test_truncated_or_foreign_archive(tmp_path, change):
    path = write_archive(tmp_path, "cifar100", contents("cifar100"))
    path.write_bytes(change(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no tar archive, or is truncated or damaged"):
        cifar100(path)
    assert path.read_bytes() == before


def test_another_archive(tmp_path):
    path = write_archive(tmp_path, "cifar100", contents("cifar100"))
    with pytest.raises(ValueError, match="should hold cifar-10-batches-py/data_batch_1"):
        cifar10(path)


def test_archive_members_outside_are_not_extracted(tmp_path):
    path = write_archive(tmp_path, "cifar10", {**contents("cifar10"), "../../evil": b"x"})
    cifar10(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({b"labels": [10] * ROWS}, r"labels lie in \[0, 10\). Received: 10 to 10"),
        ({b"labels": [-1] * ROWS}, "Received: -1 to -1"),
        ({b"labels": [0] * (ROWS - 1)}, "20 images and 19 labels"),
        ({b"labels": [0.5] * ROWS}, "a list of integers"),
        ({b"labels": np.zeros(ROWS, np.int64)}, "a list of integers"),
        ({b"data": np.zeros((ROWS, 3071), np.uint8)}, r"3·32·32 a row.*\(20, 3071\)"),
        ({b"data": np.zeros((ROWS, 3072), np.float32)}, "Received: float32"),
        ({b"data": None}, "Received: NoneType"),
    ],
)
def test_wrong_contents(tmp_path, change, match):
    files = contents("cifar10")
    files["data_batch_2"] = pickle.dumps({**batch("cifar10", 1), **change}, 2)
    with pytest.raises(ValueError, match=match):
        cifar10(write_folder(tmp_path, "cifar10", files))


def test_missing_keys(tmp_path):
    files = contents("cifar10")
    files["data_batch_2"] = pickle.dumps({b"data": 1}, 2)
    with pytest.raises(ValueError, match=r"a dictionary with 'data' and 'labels'.*b'data'"):
        cifar10(write_folder(tmp_path, "cifar10", files))


def test_places(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match="Nothing is downloaded here") as error:
        cifar10()
    assert str(tmp_path / "keras" / "datasets") in str(error.value)
    write_archive(tmp_path, "cifar10", contents("cifar10"))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert cifar10().source == str(tmp_path / "cifar-10-python.tar.gz")


def test_the_papers_validation_split(tmp_path):
    files = {
        part: pickle.dumps(batch("cifar10", i, 100), 2)
        for i, part in enumerate((*FILES["cifar10"][2], "test_batch"))
    }
    data = cifar10(write_folder(tmp_path, "cifar10", files))
    train, held_out = datasets.train_validation_split(data.x_train, data.y_train, 50, seed=0)
    np.testing.assert_array_equal(np.bincount(held_out[1]), [5] * 10)
    assert len(train[0]) == 450


def test_gzip_is_not_needed(tmp_path):
    path = write_archive(tmp_path, "cifar10", contents("cifar10"))
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert len(cifar10(path).x_train) == 5 * ROWS


def test_a_member_that_is_far_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_actfn.datasets.cifar._LARGEST", 100_000)
    files = contents("cifar10")
    files["test_batch"] = bytes(300_000)
    for place in (
        write_archive(tmp_path, "cifar10", files),
        write_folder(tmp_path, "cifar10", files),
    ):
        with pytest.raises(ValueError, match="test_batch has 300,000 bytes"):
            cifar10(place)
