"""Where a callback's figures and pictures go besides its file: TensorBoard, Weights & Biases."""

import importlib
import os
from typing import Any

from .._optional import require


class WandbWriter:
    """Logs to a run of Weights & Biases beside other loggers, however often those log.

    A run has one step for all that is logged, which never goes back: rows with a smaller one
    are dropped. So no step is given, and the epoch is a figure of its own, `snapshot/epoch`,
    which the run's charts have as their axis.

    Args:
        run: A run, or anything with `log(dict)`; `define_metric` is called where there is one.
    """

    AXIS = "snapshot/epoch"

    def __init__(self, run: Any):
        self._run = run
        if hasattr(run, "define_metric"):
            run.define_metric(self.AXIS)
            for pattern in ("activations/*", "gaussianity/*"):
                run.define_metric(pattern, step_metric=self.AXIS)

    def write(self, epoch: int, scalars: dict[str, float], images: Any) -> None:
        """Log figures and pictures of an epoch."""
        image = require("wandb", extra="tracking").Image
        pictures = {name: image(picture) for name, picture in images.items()}
        self._run.log({self.AXIS: epoch, **scalars, **pictures})

    def flush(self) -> None:
        """Nothing: the run sends by itself."""


class _TensorFlowWriter:
    """TensorFlow's event writer; `tf.summary.write` needs no TensorBoard to be installed."""

    def __init__(self, tf, folder):
        from tensorflow.core.framework import summary_pb2

        self._tf, self._writer = tf, tf.summary.create_file_writer(str(folder))
        plugin = summary_pb2.SummaryMetadata.PluginData
        self._scalar = summary_pb2.SummaryMetadata(
            plugin_data=plugin(plugin_name="scalars"), data_class=summary_pb2.DATA_CLASS_SCALAR
        )
        self._image = summary_pb2.SummaryMetadata(
            plugin_data=plugin(plugin_name="images"),
            data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
        )

    def write(self, step, scalars, images):
        tf = self._tf
        with self._writer.as_default():
            for name, value in scalars.items():
                tf.summary.write(name, tf.constant(value, "float32"), step, self._scalar)
            for name, picture in images.items():
                height, width = (str(size) for size in picture.shape[:2])
                png = tf.io.encode_png(tf.constant(picture))
                content = tf.stack([tf.constant(width), tf.constant(height), png])
                tf.summary.write(name, content, step, self._image)

    def flush(self):
        self._writer.flush()


class _TensorboardXWriter:
    def __init__(self, module, folder):
        self._writer = module.SummaryWriter(str(folder))

    def write(self, step, scalars, images):
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, picture in images.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def flush(self):
        self._writer.flush()


def summary_writer(folder: str | os.PathLike) -> Any:
    """A TensorBoard writer from tensorboardX or TensorFlow, whichever is installed."""
    try:
        return _TensorboardXWriter(importlib.import_module("tensorboardX"), folder)
    except ModuleNotFoundError:
        return _TensorFlowWriter(require("tensorflow", extra="tensorflow"), folder)
