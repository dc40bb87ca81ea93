"""Folders of images of the user's own."""

import numpy as np
import pytest
from PIL import Image

from keras_actfn.datasets import class_folders, load, read_images

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), "uint8")
GREY = RGB[..., 0]


def save(path, image=GREY, **options):
    """A file with an image, an array or PIL's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path):
    """Two classes of ten and five grey images, each of one value."""
    for number in range(10):
        save(tmp_path / "pets" / "cat" / f"{number}.png", np.full((6, 8), number, "uint8"))
    for number in range(5):
        save(tmp_path / "pets" / "dog" / f"{number}.png", np.full((6, 8), 100 + number, "uint8"))
    return tmp_path / "pets"


def values(x):
    return sorted((255 * x[:, 0, 0, 0]).round().astype(int))


def test_a_folder_is_split_by_class(pets):
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "Thumbs.db").write_bytes(b"x")
    data = load(str(pets))
    assert (data.name, data.classes, data.class_names) == ("pets", 2, ("cat", "dog"))
    assert data.input_shape == (6, 8, 1) and data.x_train.dtype == np.float32
    np.testing.assert_array_equal(np.bincount(data.y_train), [8, 4])
    np.testing.assert_array_equal(np.bincount(data.y_test), [2, 1])
    everything = [*range(10), *range(100, 105)]
    assert sorted(values(data.x_train) + values(data.x_test)) == everything
    np.testing.assert_array_equal(data.y_test, 255 * data.x_test[:, 0, 0, 0] > 50)


def test_the_split_is_the_seeds(pets):
    one, same, other = (read_images(pets, test=0.4, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.x_test, same.x_test)
    assert values(one.x_test) != values(other.x_test)
    np.testing.assert_array_equal(np.bincount(one.y_test), [4, 2])
    with pytest.raises(ValueError, match=r"above 0 and below 1. Received: 1.5"):
        read_images(pets, test=1.5)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (("train", "test"), {"train", "test"}),
        (("Training", "TEST", "val"), {"train", "test", "validation"}),
        (("train", "val"), {"train", "test"}),
    ],
)
def test_parts_of_the_users_own(tmp_path, parts, found):
    for number, part in enumerate(parts):
        for label in ("a", "b"):
            save(tmp_path / part / label / "1.png", np.full((4, 4), 10 * number, "uint8"))
    data = read_images(tmp_path)
    assert set(data.parts()) == found
    for number, (x, y) in enumerate([data.parts()[p] for p in ("train", "test")]):
        assert values(x) == [10 * number] * 2
        np.testing.assert_array_equal(y, [0, 1])


def oriented(path):
    """A JPEG-like EXIF that says: turn by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(path, RGB, exif=exif)
    return np.rot90(RGB, -1) / 255


def palette(path):
    image = Image.fromarray(RGB).quantize(256)
    save(path, image)
    return np.asarray(image.convert("RGB")) / 255


def transparent(path):
    alpha = RNG.integers(0, 255, (6, 8, 1), "uint8")
    save(path, np.concatenate([RGB, alpha], axis=-1))
    return np.concatenate([RGB, alpha], axis=-1) / 255


def opaque(path):
    save(path, np.concatenate([RGB, np.full_like(RGB[..., :1], 255)], axis=-1))
    return RGB / 255


def bits_16(path):
    pixels = RNG.integers(0, 65536, (6, 8), "uint16")
    save(path, pixels)
    return pixels[..., None] / 65535


def one_bit(path):
    save(path, Image.fromarray(GREY > 100))
    return (GREY[..., None] > 100) * 1.0


#: How to write an image of each kind; returns the pixels that it has.
KINDS = {
    "grey.png": lambda path: save(path) and GREY[..., None] / 255,
    "grey.bmp": lambda path: save(path) and GREY[..., None] / 255,
    "bits_16.png": bits_16,
    "one_bit.png": one_bit,
    "rgb.png": lambda path: save(path, RGB) and RGB / 255,
    "rgb.PNG": lambda path: save(path, RGB) and RGB / 255,
    "lossless.webp": lambda path: save(path, RGB, lossless=True) and RGB / 255,
    "palette.png": palette,
    "palette.gif": palette,
    "oriented.png": oriented,
    "opaque.png": opaque,
    "transparent.png": transparent,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image(tmp_path, kind):
    for label in ("a", "b"):
        for number in ("1", "2"):
            expected = KINDS[kind](tmp_path / label / f"{number}{kind}")
    found = read_images(tmp_path).x_train[-1]
    if kind == "transparent.png":  # each file has another alpha channel
        assert found.shape == (6, 8, 4)
    elif kind == "bits_16.png":
        assert found.shape == (6, 8, 1) and len(np.unique(found)) > 40
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pixels_of_16_bits_and_of_transparency(tmp_path):
    expected = bits_16(tmp_path / "a.png")
    image = class_folders._open(tmp_path / "a.png")
    np.testing.assert_allclose(class_folders._pixels(image, "grey", None), expected, atol=1e-6)
    np.testing.assert_allclose(
        class_folders._pixels(image, "rgba", None)[..., :3], np.repeat(expected, 3, -1), atol=1e-6
    )
    rgba = transparent(tmp_path / "b.png")
    image = class_folders._open(tmp_path / "b.png")
    np.testing.assert_allclose(class_folders._pixels(image, "rgba", None), rgba, atol=1e-6)
    over_white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    np.testing.assert_allclose(
        class_folders._pixels(image, "rgb", None), over_white, atol=0.51 / 255
    )


def test_colours_are_converted_if_asked(tmp_path):
    save(tmp_path / "a" / "1.png", RGB)
    save(tmp_path / "a" / "2.png", GREY)
    save(tmp_path / "b" / "1.jpg", Image.fromarray(RGB).convert("CMYK"))
    palette(tmp_path / "b" / "2.gif")
    message = r"a/1.png is rgb, .*a/2.png is grey. Convert all: colors='rgb' or 'grey' \(--colors\)"
    with pytest.raises(ValueError, match=message):
        read_images(tmp_path)
    data = read_images(tmp_path, colors="rgb")
    assert data.input_shape == (6, 8, 3)
    both = [data.x_train, data.x_test]
    grey = [x for part in both for x in part if np.ptp(x, axis=-1).max() == 0]
    np.testing.assert_allclose(grey, [np.repeat(GREY[..., None], 3, -1) / 255], atol=1e-6)
    assert read_images(tmp_path, colors="grey").input_shape == (6, 8, 1)
    assert read_images(tmp_path, colors="rgba").input_shape == (6, 8, 4)
    with pytest.raises(ValueError, match="Did you mean 'grey'"):
        read_images(tmp_path, colors="gray")


def test_sizes_are_made_equal_if_asked(tmp_path):
    x = np.arange(8, dtype="uint8")[None].repeat(4, 0) * 10
    for label in ("a", "b"):
        save(tmp_path / label / "1.png", x)
        save(tmp_path / label / "2.png", x[:, 2:6])
    with pytest.raises(ValueError, match=r"a/1.png of 8×4 pixels, .*a/2.png of 4×4. .*size"):
        read_images(tmp_path)
    # The middle square of the wide one is the other one: all are the same then.
    data = read_images(tmp_path, image_size=4)
    for image in (*data.x_train, *data.x_test):
        np.testing.assert_allclose(255 * image[..., 0], x[:, 2:6], atol=1e-4)
    # Shrinking averages, so that no pixel is left out.
    small = read_images(tmp_path, image_size=1).x_train
    np.testing.assert_allclose(255 * small.ravel(), 35, atol=1)


def _animation(path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    save(path, frames[0], save_all=True, append_images=frames[1:])


def _cut(path):
    content = save(path, RNG.integers(0, 256, (64, 64), "uint8")).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _write(name, content=b"hello"):
    return lambda pets: (pets / name).write_bytes(content)


#: What is wrong with a folder of good images, and what the error says.
BAD = {
    "text": (_write("cat/x.png"), r"cat/x.png, which cannot be read \(UnidentifiedImageError"),
    "empty file": (_write("cat/x.png", b""), r"cat/x.png, which cannot be read \(empty"),
    "cut": (lambda pets: _cut(pets / "dog/x.png"), "dog/x.png, which cannot be read"),
    "animation": (lambda pets: _animation(pets / "dog/x.gif"), "x.gif, an animation of 2"),
    "other file": (_write("cat/labels.txt"), "another file, .*cat/labels.txt"),
    "tiff": (lambda pets: save(pets / "cat/x.tif"), "another file, .*cat/x.tif"),
    "deeper": (lambda pets: save(pets / "cat" / "black" / "1.png"), "a folder, .*cat/black"),
    "loose": (lambda pets: save(pets / "x.png"), "pets/x.png, which is in no such folder"),
    "empty": (lambda pets: (pets / "fox").mkdir(), "none in .*pets/fox"),
    "single": (lambda pets: save(pets / "fox" / "1.png"), "Received: one of 'fox', .*fox/1.png"),
    "both": (
        lambda pets: [save(pets / part / "a" / "1.png") for part in ("train", "test")],
        "Received: train, test, and cat beside them",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(pets, case):
    spoil, message = BAD[case]
    spoil(pets)
    with pytest.raises(ValueError, match=message) as caught:
        read_images(pets)
    assert "Received: " in str(caught.value)


def test_folders_without_classes(tmp_path):
    with pytest.raises(ValueError, match="which has none"):
        read_images(tmp_path)
    save(tmp_path / "one" / "1.png")
    with pytest.raises(ValueError, match="with one, one"):
        read_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere, which does not exist"):
        read_images(tmp_path / "nowhere")


def test_parts_with_different_classes(tmp_path):
    for name in ("train/a", "train/b", "test/a", "test/c"):
        save(tmp_path / name / "1.png")
    with pytest.raises(ValueError, match="in one of them only: b, c"):
        read_images(tmp_path)


def test_images_larger_than_the_memory(pets, monkeypatch):
    monkeypatch.setattr(class_folders, "machine_memory", lambda: 2.0**10)
    with pytest.raises(ValueError, match=r"Received: 15 of shape \(6, 8, 1\)"):
        read_images(pets)
