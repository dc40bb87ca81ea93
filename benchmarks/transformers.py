"""Seconds of a training step: this library's ViT-Tiny beside Keras Hub's of the same size.

    for b in jax tensorflow torch; do
        KERAS_BACKEND=$b python benchmarks/transformers.py --output benchmarks/transformers_$b.txt
    done

Both have 32×32×3 images, patches of 4, width 192, 12 blocks, 3 heads, GELU and 10 classes,
and take the same AdamW steps through `fit`. Steps of the two alternate in blocks, so that
whatever else the machine does hits both; the median block counts. CRReLU in our model is
a third row. Needs keras-hub (docs/transformers.md).
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from keras_actfn.applications import ViTTiny

from keras_actfn._files import write_file


def hub_vit():
    """Keras Hub's ViT of ViT-Tiny's size, with its class token's head."""
    import keras_hub

    backbone = keras_hub.models.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=4,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    )
    x = keras.layers.Dense(192, activation="tanh")(backbone.output[:, 0])
    outputs = keras.layers.Dense(10, activation="softmax")(x)
    return keras.Model(backbone.input, outputs)


BUILDERS = {
    "keras_hub ViT, gelu": hub_vit,
    "ViTTiny, gelu": lambda: ViTTiny("gelu"),
    "ViTTiny, crrelu": lambda: ViTTiny("crrelu"),
}


def measure(batch, blocks, steps):
    """Median milliseconds a step and parameters, by model."""
    rng = np.random.default_rng(0)
    x = rng.random((batch * steps, 32, 32, 3), "float32")
    y = rng.integers(0, 10, batch * steps)
    models = {name: build() for name, build in BUILDERS.items()}
    for model in models.values():
        model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=batch, verbose=0)
    seconds = {name: [] for name in models}
    for _ in range(blocks):
        for name, model in models.items():
            started = time.perf_counter()
            model.fit(x, y, batch_size=batch, verbose=0)
            seconds[name].append((time.perf_counter() - started) / steps)
    return {
        name: (1000 * float(np.median(seconds[name])), model.count_params())
        for name, model in models.items()
    }


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="steps in a block")
    parser.add_argument("--output", type=Path, help="file for the table")
    args = parser.parse_args()
    rows = measure(args.batch, args.blocks, args.steps)
    base = rows["keras_hub ViT, gelu"][0]
    lines = [
        f"ViT-Tiny training steps, backend {keras.backend.backend()}, batch {args.batch}, median "
        f"of {args.blocks} blocks of {args.steps} steps.",
        "",
        "| model | ms a step | against keras_hub | parameters |",
        "| --- | --: | --: | --: |",
    ]
    for name, (milliseconds, parameters) in rows.items():
        lines.append(
            f"| {name} | {milliseconds:.0f} | {milliseconds / base:.2f}× | {parameters:,} |"
        )
    text = "\n".join(lines)
    print(text)
    if args.output:
        write_file(args.output, text + "\n")


if __name__ == "__main__":
    main()
