"""Read-only loaders of image classification data that is already on the machine.

`load(name)` gives a `Dataset`: images as float32 in [0, 1] (pixel / 255, or
pixel / 16 for the digits), shape `(N, height, width, channels)`, and labels as
int32, shape `(N,)`. The loaders never download, delete or write anything, and
use NumPy only (`digits` also scikit-learn, which ships it, and `imagenette` TensorFlow, which
decodes JPEG). `imagenet` does not fit into memory and gives batches instead.
"""

from .._names import unknown_name
from .base import Dataset, balanced_indices, resize_images, train_validation_split
from .cifar import cifar10, cifar100
from .fashion import fashion_mnist, find_fashion_mnist
from .image_folders import imagenet, imagenette
from .sklearn_digits import digits

__all__ = [
    "DATASETS",
    "Dataset",
    "balanced_indices",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "find_fashion_mnist",
    "imagenet",
    "imagenette",
    "load",
    "resize_images",
    "train_validation_split",
]

#: Every dataset by the name that `load` and the command line take.
DATASETS = {
    "fashion_mnist": fashion_mnist,
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "imagenette": imagenette,
}


def load(name, path=None, **options):
    """The dataset called `name`.

    Args:
        name: A key of `DATASETS`.
        path: Folder with the dataset's files; None looks in the usual places.
        **options: Further arguments of the dataset's own function.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If the name is unknown, or a file is not what it should be.
        FileNotFoundError: If the files are nowhere to be found.

    Example:
    ```python
    data = keras_actfn.datasets.load("digits", image_size=28)
    data.x_train.shape  # (1442, 28, 28, 1)
    ```
    """
    if name not in DATASETS:
        raise unknown_name("A dataset's name", name, DATASETS)
    return DATASETS[name](path, **options)
