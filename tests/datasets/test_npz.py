"""npz files of the user's own."""

import numpy as np
import pytest

from keras_actfn.datasets import load, read_npz

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(12, 5))


def write(path, **arrays):
    """An npz file of 8 training and 4 test examples; an array of None is left out."""
    given = {"x_train": X[:8], "y_train": np.arange(8) % 2, "x_test": X[8:], "y_test": [0, 1] * 2}
    given |= arrays
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return path


def test_arrays_as_they_are(tmp_path):
    path = write(
        tmp_path / "mine.npz", x_validation=X[:3], y_validation=np.array([[1], [0], [1]])[:, 0]
    )
    data = load(str(path))
    np.testing.assert_array_equal(data.x_train, X[:8].astype("float32"))
    np.testing.assert_array_equal(data.y_train, np.arange(8) % 2)
    np.testing.assert_array_equal(data.y_validation, [1, 0, 1])
    assert data.x_validation.dtype == np.float32 and data.y_train.dtype == np.int32
    assert (data.name, data.classes, data.problem) == ("mine", 2, "classification")
    assert data.input_shape == (5,) and not data.has_images


@pytest.mark.parametrize("channels", [(), (3,)])
def test_bytes_are_pixels(tmp_path, channels):
    pixels = np.random.default_rng(1).integers(0, 256, (12, 6, 7, *channels), "uint8")
    path = write(tmp_path / "a.npz", x_train=pixels[:8], x_test=pixels[8:])
    data = read_npz(path)
    assert data.input_shape == (6, 7, *(channels or (1,)))
    np.testing.assert_allclose(data.x_test.reshape(4, -1), pixels[8:].reshape(4, -1) / 255.0)
    assert read_npz(path, image_size=9).x_test.shape[1:3] == (9, 9)


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (["no", "yes", "no", "maybe"], ("maybe", "no", "yes"), [1, 2, 1, 0]),
        ([b"b", b"a", b"b", b"a"], ("a", "b"), [1, 0, 1, 0]),
        ([True, False, False, True], ("False", "True"), [1, 0, 0, 1]),
        (np.array([2, 0, 1, 0], "uint8"), ("0", "1", "2"), [2, 0, 1, 0]),
        (np.array([[2], [0], [1], [0]]), ("0", "1", "2"), [2, 0, 1, 0]),
    ],
)
def test_labels_become_classes(tmp_path, labels, names, expected):
    data = read_npz(write(tmp_path / "a.npz", x_train=X[:4], y_train=labels, y_test=labels))
    assert data.class_names == names and data.classes == len(names)
    np.testing.assert_array_equal(data.y_train, expected)


def test_problem_decides_about_whole_numbers(tmp_path):
    labels = np.array([3, 5, 8, 3])
    path = write(tmp_path / "a.npz", x_train=X[:4], y_train=labels, y_test=labels)
    classes = read_npz(path, problem="classification")
    assert classes.class_names == ("3", "5", "8")
    np.testing.assert_array_equal(classes.y_train, [0, 1, 2, 0])
    numbers = read_npz(path, problem="regression")
    assert (numbers.problem, numbers.classes, numbers.outputs) == ("regression", 0, 1)
    np.testing.assert_allclose(numbers.y_train, (labels - 4.75) / labels.std(), rtol=1e-6)
    np.testing.assert_allclose(numbers.in_target_units(numbers.y_test), labels, rtol=1e-6)


def test_targets_of_several_numbers(tmp_path):
    y = np.stack([X[:, 0], 1e9 + 100 * X[:, 1]], axis=1)
    data = read_npz(write(tmp_path / "a.npz", y_train=y[:8], y_test=y[8:]))
    assert data.problem == "regression" and data.outputs == 2
    expected = (y[8:] - y[:8].mean(0)) / y[:8].std(0)
    np.testing.assert_allclose(data.y_test, expected, rtol=1e-5)
    np.testing.assert_allclose(data.subset(3).y_train.shape, (3, 2))


ONE_HOT = np.eye(2)[[0, 1] * 4]
BAD = {
    "missing": ({"x_test": None}, r"without x_test. Did you mean 'y_test'"),
    "half a part": ({"x_validation": X[:2]}, "without y_validation"),
    "lengths": ({"y_train": np.arange(7) % 2}, "8 examples in x_train and 7 labels in y_train"),
    "scalar": ({"y_train": 3}, "8 examples in x_train and 0 labels"),
    "objects": ({"x_train": np.array([None] * 8)}, "Python objects.* dtype of numbers or text"),
    "text": ({"x_train": np.full((8, 2), "a")}, r"x_train is numbers of shape \(N, …\)"),
    "empty": ({"x_test": X[:0], "y_test": []}, "x_test is numbers of shape"),
    "shapes": ({"x_test": X[8:, :3]}, r"\(5,\) in x_train and float64 \(3,\) in x_test"),
    "dtypes": ({"x_test": X[8:].astype("uint8")}, "float64 .* in x_train and uint8"),
    "nan": ({"x_test": np.where(X[8:] == X[9, 3], np.nan, X[8:])}, r"nan in x_test\[1, 3\]"),
    "overflow": ({"x_train": X[:8] * 1e300}, "finite float32 numbers"),
    "nan target": ({"y_train": np.full(8, np.inf), "y_test": X[8:, 0]}, "not finite"),
    "kinds": ({"y_test": list("abab")}, "labels of all parts are of one kind"),
    "gaps": ({"y_train": [1, 2, 4, 1] * 2, "y_test": [1, 2] * 2}, "3 different values, 1, 2, 4"),
    "floats": ({"y_train": [0.0, 1] * 4, "y_test": [0.0, 1] * 2}, "--classification or"),
    "one-hot": ({"y_train": ONE_HOT, "y_test": ONE_HOT[:4]}, "pass y.argmax"),
    "constant": ({"y_train": [0.5] * 8, "y_test": X[8:, 0]}, "8 equal ones, 0.5"),
    "one class": ({"y_train": [0] * 8, "y_test": [0] * 4}, "one, '0', for all 12"),
    "new class": ({"y_test": [0, 2, 1, 0]}, "none of '2', which the test part has"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(tmp_path, case):
    arrays, message = BAD[case]
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message) as caught:
        read_npz(write(tmp_path / "mine.npz", **arrays))
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize("damage", ["text", "cut", "pickle", "flipped"])
def test_a_damaged_file(tmp_path, damage):
    path = write(tmp_path / "mine.npz")
    content = path.read_bytes()
    if damage == "text":
        content = b"hello"
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "pickle":
        np.save(tmp_path / "object.npy", np.array([None]))
        content = (tmp_path / "object.npy").read_bytes()
    else:
        at = content.index(X[:8].tobytes())
        content = content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine.npz is an npz file of numbers and text"):
        read_npz(path)


def test_a_problem_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="problem is classification or regression"):
        read_npz(write(tmp_path / "a.npz"), problem="clustering")
    with pytest.raises(ValueError, match=r"of a regression is numbers. Received: str"):
        read_npz(
            write(tmp_path / "a.npz", y_train=list("ab" * 4), y_test=list("abab")),
            problem="regression",
        )
