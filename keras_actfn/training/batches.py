"""The batches of a run by a recipe: in an order of their own, or changed by mixup and the like."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np


class EpochBatches(keras.utils.PyDataset):
    """The batches of a run, in other ones in each epoch.

    Keras reads a first batch before the first epoch, and some backends read ahead at the end of an
    epoch, so an epoch's batches are begun by name.

    Args:
        make: Function of an epoch, from 0, that returns its batches by their number.
        steps: Number of batches in an epoch.
    """

    def __init__(self, make: Callable[[int], Any], steps: int, **kwargs: Any):
        super().__init__(**kwargs)
        self._make = make
        self._steps = steps
        self._epoch = 0
        self._batches = make(0)

    def begin(self, epoch: int) -> None:
        """Give an epoch's batches from now on."""
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._make(epoch)

    def __len__(self) -> int:
        """Number of batches."""
        return self._steps

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One batch of the epoch."""
        return self._batches[index]


def given_to_fit(batches: keras.utils.PyDataset) -> Any:
    """Batches of one shape as `fit` takes them without a wait after each epoch.

    TensorFlow tunes how fast it reads batches, and the end of an epoch waits until its tuner
    wakes up the next time: up to as long as the epoch took. It is given a pipeline without one.

    Args:
        batches: Batches (inputs, targets) of arrays.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    signature = tuple(tf.TensorSpec(part.shape, part.dtype) for part in batches[0])
    dataset = tf.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))), output_signature=signature
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(2).with_options(options)


class OrderedBatches:
    """Batches of arrays in an order.

    Args:
        x: Inputs, N on the first axis.
        y: Targets, the same.
        order: Positions on the first axis.
        batch_size: Positions in a batch.
    """

    def __init__(self, x: Any, y: Any, order: np.ndarray, batch_size: int):
        self._x, self._y, self._order = x, y, order
        self._batch_size = batch_size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One batch as (inputs, targets)."""
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._x[rows], self._y[rows]


class AugmentedBatches(keras.utils.PyDataset):
    """Batches of images and one-hot labels behind Keras's augmentation layers.

    Every stage is a sequence of layers of which one is drawn for a batch; layers are called
    with `{"images": …, "labels": …}`, labels being one-hot. Grey images are shown to them as
    three equal channels. The draws depend on the seed and the batch's number alone.

    Args:
        x: Images with the channels last, `(N, height, width, channels)`.
        y: Integer labels, `(N,)`.
        classes: Number of classes.
        stages: Function of a seed that makes a list of sequences of layers.
        batch_size: Images in a batch; the last one may have fewer.
        seed: Seed of the draws.

    Example:
    ```python
    batches = AugmentedBatches(
        x, y, 10, lambda seed: [[keras.layers.MixUp(0.1, seed=seed)]], batch_size=256
    )
    model.compile("adam", "categorical_crossentropy")
    model.fit(batches)
    ```
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        classes: int,
        stages: Callable[[int], Iterable],
        *,
        batch_size: int,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._x = x
        self._y = np.eye(classes, dtype="float32")[y]
        self._batch_size = batch_size
        self._seed = seed
        self._stages = stages

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self._x) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One batch as (images, labels)."""
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        images, labels = self._x[part], self._y[part]
        rng = np.random.default_rng([self._seed, index])
        grey = images.shape[-1] == 1
        if grey:
            images = np.repeat(images, 3, axis=-1)
        for alternatives in self._stages(int(rng.integers(2**31))):
            layer = alternatives[rng.integers(len(alternatives))]
            batch = layer({"images": images, "labels": labels}, training=True)
            images, labels = (
                keras.ops.convert_to_numpy(batch[key]) for key in ("images", "labels")
            )
        return (images.mean(axis=-1, keepdims=True) if grey else images), labels
