"""Fashion-MNIST's loader on small files in the official format, well-formed and not."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from keras_actfn import datasets
from keras_actfn.datasets import fashion_mnist
from keras_actfn.datasets.fashion import DATA_VARIABLE

pytestmark = pytest.mark.once

ROWS = {"train": 30, "t10k": 20}


def idx(array):
    """An idx file of unsigned bytes, written from the format's description."""
    array = np.asarray(array, dtype=np.uint8)
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    ) + array.tobytes()


def contents():
    rng = np.random.default_rng(0)
    return {
        part: (rng.integers(0, 256, (n, 28, 28)), np.arange(n) % 10) for part, n in ROWS.items()
    }


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "fashion"
    target.mkdir()
    for part, (images, labels) in contents().items():
        (target / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (target / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return target


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine on which the data is in none of the usual places."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("keras_actfn.datasets.fashion.DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def refused(folder, match, **options):
    """Loading fails with `match`, in one line, and the folder is as it was."""
    before = digests(folder)
    with pytest.raises(ValueError, match=match):
        fashion_mnist(folder, **{"verify": False, **options})
    assert digests(folder) == before


def test_values_are_bytes_over_255(folder):
    data = datasets.load("fashion_mnist", folder, verify=False)
    images, labels = contents()["train"]
    np.testing.assert_allclose(data.x_train[..., 0], images / 255, rtol=1e-6)
    np.testing.assert_array_equal(data.y_train, labels)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
    assert data.input_shape == (28, 28, 1) and data.classes == 10
    assert data.x_test.shape == (20, 28, 28, 1)
    assert data.source == str(folder)


def test_plain_files_are_read_as_well(folder):
    for file in list(folder.iterdir()):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert fashion_mnist(folder, verify=False).x_train.shape == (30, 28, 28, 1)


def test_places_in_order(folder, nowhere, monkeypatch):
    cache = nowhere / "keras" / "datasets" / "fashion-mnist"
    cache.parent.mkdir(parents=True)
    folder.rename(cache)
    assert datasets.find_fashion_mnist() == cache
    (nowhere / "debian").symlink_to(cache)
    assert datasets.find_fashion_mnist() == nowhere / "debian"
    (nowhere / "mine").mkdir()
    (nowhere / "mine" / "fashion-mnist").symlink_to(cache)
    monkeypatch.setenv(DATA_VARIABLE, str(nowhere / "mine"))
    assert datasets.find_fashion_mnist() == nowhere / "mine" / "fashion-mnist"
    assert datasets.find_fashion_mnist(cache) == cache


def test_nowhere_names_every_place_and_the_package(nowhere, monkeypatch):
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist") as error:
        fashion_mnist()
    text = str(error.value)
    assert str(nowhere / "debian") in text
    assert str(nowhere / "keras" / "datasets" / "fashion-mnist") in text
    assert f"{DATA_VARIABLE} is not set" in text
    monkeypatch.setenv(DATA_VARIABLE, "/no/such/folder")
    with pytest.raises(FileNotFoundError, match=r"/no/such/folder \(KERAS_ACTFN_DATA\)"):
        fashion_mnist()


def test_an_explicit_path_is_the_only_place(folder, nowhere):
    (nowhere / "debian").symlink_to(folder)
    with pytest.raises(FileNotFoundError, match=r"elsewhere \(the given path\)"):
        fashion_mnist(nowhere / "elsewhere")


def test_truncated_gzip(folder):
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-2000])
    refused(folder, "truncated or damaged gzip file")


def test_damaged_gzip(folder):
    file = folder / "train-images-idx3-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    refused(folder, "truncated or damaged gzip file")


def test_swapped_images_and_labels(folder):
    images, labels = (folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    refused(folder, "should hold images .* but holds labels .* swapped")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\n"])
def test_foreign_files(folder, content):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
    refused(folder, "An idx file of labels begins with the bytes 00 00 08 01")


def test_wrong_magic_number(folder):
    content = bytearray(idx(contents()["train"][0]))
    content[2] = 0x0D  # float32
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(content)))
    refused(folder, "begins with 00 00 0d 03")


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: c[:9]])
def test_size_other_than_the_header_says(folder, change):
    content = gzip.compress(change(idx(contents()["train"][0])))
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    refused(folder, "truncated or has been changed")


@pytest.fixture
def bomb(folder):
    """A gzip of a few kilobytes that holds 300 MiB of zeros, as its header says."""
    path = folder / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb") as file:
        file.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", 300, 1024, 1024))
        for _ in range(300):
            file.write(bytes(1 << 20))
    return path


def test_content_out_of_proportion_is_refused_by_its_header(folder, bomb, monkeypatch):
    largest = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda self, size=-1: largest.append(size) or read(self, size)
    )
    with pytest.raises(ValueError, match=r"would unpack to 314,572,800\. Check where"):
        fashion_mnist(folder, verify=False)
    with pytest.raises(ValueError, match=r"those have the shape \(60000, 28, 28\)"):
        fashion_mnist(folder)
    assert 0 < max(largest) <= 16 and min(largest) > 0


def test_a_header_that_announces_more_than_there_can_be(folder):
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    for name, content in (("", header), (".gz", gzip.compress(header))):
        path = folder / f"train-images-idx3-ubyte{name}"
        (folder / "train-images-idx3-ubyte.gz").unlink(missing_ok=True)
        path.write_bytes(content)
        refused(folder, "truncated or has been changed|would unpack to")


def test_label_count_mismatch(folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(29) % 10)))
    refused(folder, "30 training images and 29 training labels")


def test_labels_out_of_range(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(20))))
    refused(folder, r"labels from 0 to 19 in y_test")


def test_checksums_refuse_well_formed_foreign_data(folder):
    refused(folder, "not Fashion-MNIST's training images.*verify=False", verify=True)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"Received: 'fashion-mnis'. Did you mean 'fashion_mnist'"):
        datasets.load("fashion-mnis")
