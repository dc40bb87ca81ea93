"""Images of the user's own: one folder a class.

    pets/cat/1.png …, pets/dog/1.png …                      split here, with a seed
    pets/train/cat/1.png …, pets/test/cat/1.png …           split by the user

An image is turned as its EXIF data says. Its colours are grey, RGB or RGBA; palettes, CMYK and
YCbCr are RGB, and an image with an alpha channel that is opaque throughout counts as one without.
All images have the same colours and the same size, unless `colors` and `image_size` convert them.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._names import nearest
from .._optional import require
from .base import Dataset, machine_memory, split_positions
from .targets import Targets

if TYPE_CHECKING:
    from PIL.Image import Image

#: Endings of files that are read.
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
#: What `colors` takes, with the number of channels.
COLORS = {"grey": 1, "rgb": 3, "rgba": 4}
#: Names of the folders of each part.
_PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val"),
}
#: Files that operating systems leave behind, beside those whose names begin with a dot.
_CLUTTER = ("thumbs.db", "desktop.ini")
#: PIL's modes of grey images; those of 16 bits begin with "I;16".
_GREY = ("1", "L", "LA", "La", "I", "F")


def read_images(
    path: str | os.PathLike,
    *,
    image_size: int | None = None,
    colors: str | None = None,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read a folder of images, with one folder inside for each class.

    The folder has the classes' folders, and a share of each class is drawn for testing; or it has
    the folders `train` and `test`, and `validation` where there is one, each with the classes'
    folders. With `train` and `validation` alone, the latter is for testing.

    Args:
        path: The folder. Images are png, jpg, bmp, gif or webp files. Hidden files are skipped, all
            others refused.
        image_size: Crop images in the middle to a square and resize them to this height and width,
            bilinearly with a low-pass filter. None keeps their size, which is the same for all.
        colors: `"grey"`, `"rgb"` or `"rgba"` converts all images; transparent pixels are laid over
            white where there is no alpha channel. None keeps their colours, the same for all.
        test: The share of each class that is for testing, if the folder is not split.
        seed: Seed of that split.

    Returns:
        A `Dataset` with pixels / 255 (16-bit grey: / 65535); labels count the classes in the order
        of their folders' names.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is not an image or is damaged, images differ in size or colours, a
            class has no images or too few to split, or parts have different classes.
        ImportError: If Pillow is missing.

    Example:
    ```python
    from pathlib import Path

    for number, (image, label) in enumerate(zip(x, y)):
        folder = Path("written", str(label))
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(folder / f"{number}.png", image)
    written = read_images("written", colors="grey")
    written.input_shape, written.class_names[:3]  # ((8, 8, 1), ('0', '1', '2'))
    ```
    """
    require("PIL", extra="cli")
    path = Path(path).expanduser()
    if colors is not None and colors not in COLORS:
        raise ValueError(
            f"colors is one of {', '.join(COLORS)}, or None. Received: {colors!r}. "
            f"{nearest(str(colors), COLORS)}".rstrip()
        )
    folders = _part_folders(path)
    files: list[Path] = []
    labels: list[int] = []
    names: tuple[str, ...] = ()
    at: dict[str, np.ndarray] = {}
    for part, folder in folders.items():
        found = _class_files(folder)
        if names and tuple(found) != names:
            differing = sorted(set(names) ^ set(found))
            raise ValueError(
                f"{path}: the parts have the same classes as folders. Received in one of them "
                f"only: {', '.join(differing[:5])}."
            )
        names = tuple(found)
        if part == "all":
            _check_counts(found)
        start = len(files)
        for label, members in enumerate(found.values()):
            files += members
            labels += [label] * len(members)
        at[part] = np.arange(start, len(files))
    targets = Targets(np.array(labels, "int32"), "classification", names)
    if "all" in at:
        train, held_out = split_positions(targets.y, test, seed, "images")
        at = {"train": train, "test": held_out}
    fields = targets.fields(**at)  # before the images are read
    images = _read_all(files, image_size, colors)
    resized = "" if image_size is None else f", resized to {image_size}×{image_size}"
    return Dataset(
        **{f"x_{part}": images[positions] for part, positions in at.items()},
        **fields,
        name=path.resolve().name,
        source=f"{path}{resized}",
    )


# Which files.


def _part_folders(path):
    """The folder of each part; that of `"all"` if the user did not split."""
    if not path.exists():
        raise FileNotFoundError(
            f"A folder of images has a folder inside for each class. Received: {path}, which does "
            "not exist."
        )
    inside = _subfolders(path)
    lowered = {folder.name.lower(): folder for folder in inside}
    parts = {
        part: lowered[name]
        for part, names in _PARTS.items()
        for name in names
        if name in lowered and name == next(n for n in names if n in lowered)
    }
    if "train" not in parts or len(parts) == 1:
        return {"all": path}
    if len(inside) > len(parts):
        other = next(f for f in inside if f not in parts.values())
        raise ValueError(
            f"{path} has folders of classes, or train, test and validation. Received: "
            f"{', '.join(f.name for f in parts.values())}, and {other.name} beside them."
        )
    _no_files(path)
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
    return parts


def _class_files(folder):
    """{class: its files}, both sorted."""
    _no_files(folder)
    classes = _subfolders(folder)
    if not classes:
        raise ValueError(
            f"A folder of images has a folder inside for each class. Received: {folder}, which has "
            "none."
        )
    found = {}
    for inside in classes:
        files = []
        for file in sorted(inside.iterdir()):
            if _skipped(file):
                continue
            if not file.is_file() or file.suffix.lower() not in ENDINGS:
                kind = "a folder" if file.is_dir() else "another file"
                raise ValueError(
                    f"The folder of a class has nothing but images ({', '.join(ENDINGS)}). "
                    f"Received: {kind}, {file}. Convert it, or move it elsewhere."
                )
            files.append(file)
        if not files:
            raise ValueError(f"Each class has images. Received: none in {inside}.")
        found[inside.name] = files
    if len(found) < 2:
        raise ValueError(
            f"A classification has two classes or more, each a folder. Received: {folder} with "
            f"one, {classes[0].name}."
        )
    return found


def _check_counts(found):
    for name, files in found.items():
        if len(files) < 2:
            raise ValueError(
                "Each class has two images or more, one to train on and one to test on. Received: "
                f"one of '{name}', {files[0]}. Add images, or move the class elsewhere."
            )


def _subfolders(folder):
    return [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not _skipped(entry)]


def _no_files(folder):
    """Raise if images lie where folders are expected; other files may be there."""
    for entry in sorted(folder.iterdir()):
        if entry.is_file() and not _skipped(entry) and entry.suffix.lower() in ENDINGS:
            raise ValueError(
                "Each image is in the folder of its class. Received: "
                f"{entry}, which is in no such folder."
            )


def _skipped(entry):
    return entry.name.startswith(".") or entry.name.lower() in _CLUTTER


# What is in them.


def _read_all(files, image_size, colors):
    """All images, (N, height, width, channels), of one size and with one kind of colours."""
    if image_size is not None and image_size < 1:
        raise ValueError(f"An image size is a positive integer. Received: {image_size!r}.")
    size = found = None  # of the first image, whose file is the first
    images = None
    for number, file in enumerate(files):
        image = _open(file)
        found = found or _colors_of(image)
        if colors is None and _colors_of(image) != found:
            raise ValueError(
                f"All images have the same colours. Received: {files[0]} is {found}, {file} is "
                f"{_colors_of(image)}. Convert all: colors='rgb' or 'grey' (--colors)."
            )
        size = size or image.size
        if image_size is None and image.size != size:
            raise ValueError(
                f"All images have the same size. Received: {files[0]} of {size[0]}×{size[1]} "
                f"pixels, {file} of {image.size[0]}×{image.size[1]}. Resize all: image_size=… "
                "(--image-size)."
            )
        pixels = _pixels(image, colors or found, image_size)
        if images is None:
            images = _array(len(files), pixels.shape)
        images[number] = pixels
    return images


def _array(count, shape):
    size = 4 * count * int(np.prod(shape))
    if size > machine_memory():
        raise ValueError(
            f"Images fit into this machine's memory of {machine_memory() / 2**30:,.0f} GiB. "
            f"Received: {count:,} of shape {shape}, which are {size / 2**30:,.0f} GiB. Make them "
            "smaller: image_size=… (--image-size)."
        )
    return np.empty((count, *shape), "float32")


def _open(file: Path) -> "Image":
    """The image in a file, decoded and turned."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            frames = getattr(image, "n_frames", 1)
            image.load()
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise anything for damaged bytes
        reason = "empty" if file.is_file() and not file.stat().st_size else type(error).__name__
        raise ValueError(
            f"Every file of a class is an image. Received: {file}, which cannot be read ({reason}: "
            f"{str(error).rstrip('.')}). Delete or replace it."
        ) from error
    if frames > 1:
        raise ValueError(
            f"An image is one picture. Received: {file}, an animation of {frames}. Save the "
            "picture that you want."
        )
    return image


def _colors_of(image: Any) -> str:
    """`"grey"`, `"rgb"` or `"rgba"`; an alpha channel counts where it is not opaque."""
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] < 255:
            return "rgba"
    return "grey" if image.mode in _GREY or image.mode.startswith("I;16") else "rgb"


def _pixels(image: Any, colors: str, image_size: int | None) -> np.ndarray:
    """An image as float32 in [0, 1], (height, width, channels)."""
    from PIL import Image, ImageOps

    deep = image.mode.startswith(("I", "F"))
    if deep:  # 16 bits
        pixels = np.asarray(image, "float32") / 65535
        image = Image.fromarray(pixels * 255)  # mode F
    if image.has_transparency_data and colors != "rgba":
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if not deep:
        image = image.convert({"grey": "L", "rgb": "RGB", "rgba": "RGBA"}[colors])
    if image_size is not None:
        image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, "float32") / 255
    if pixels.ndim == 2:
        pixels = pixels[..., None]
        if colors != "grey":
            pixels = np.repeat(pixels, 3, axis=-1)
        if colors == "rgba":
            pixels = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
    return pixels
