"""The CRReLU paper's comparison of activations in a vision transformer, on data that is here.

    KERAS_BACKEND=jax python benchmarks/crrelu_paper.py --output benchmarks/crrelu_paper.txt

A ViT of reduced width and depth on Fashion-MNIST, with the paper's seven activations and
this library's `aff` and `pwl`, beside the paper's Table 1 (ViT-Tiny on CIFAR-10, 100
epochs). The recipe is the paper's in proportion: AdamW with weight decay 0.05 (not on
biases, normalisations, tokens, positions and activations), clip norm 1, a linear warm-up
over the first fifth of the steps from peak / 250, then a cosine to peak / 25. The peak is
higher than the paper's 2.5e-4, as training is shorter. No augmentation, no dropout.

Needs: pip install "keras-actfn[cli]". Every finished run is a file in --runs; the command can
be stopped at any time and started again.
"""

import argparse
from pathlib import Path

import keras
from keras_actfn.applications import ViTTiny

from keras_actfn._files import write_file
from keras_actfn.datasets import fashion_mnist
from keras_actfn.training import Recipe, Task, compare


def prelu():
    """PReLU with one slope for the layer, 0.25 at the start, as in the paper's framework."""
    return keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1, 2]
    )


AFF = "aff(identity,relu,tanh)"
ACTIVATIONS = ["gelu", "elu", prelu, "celu", "silu", "mish", "crrelu", AFF, "pwl"]
# Table 1: top-one accuracy of ViT-Tiny on CIFAR-10.
PAPER = {
    "gelu": 0.706,
    "elu": 0.669,
    "prelu": 0.786,
    "celu": 0.669,
    "silu": 0.683,
    "mish": 0.687,
    "crrelu": 0.802,
}
UNDECAYED = [
    *("bias", "gamma", "beta", "tokens", "positions"),
    *("epsilon", "alpha", "coefficients", "values"),
]


def paper_recipe(steps, peak):
    """The recipe above for so many steps in all."""

    def optimizer():
        warm = max(1, steps // 5)
        schedule = keras.optimizers.schedules.CosineDecay(
            peak / 250, steps - warm, alpha=1 / 25, warmup_target=peak, warmup_steps=warm
        )
        made = keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0)
        made.exclude_from_weight_decay(var_names=UNDECAYED)
        return made

    return Recipe("crrelu_vision", optimizer, source="Sun et al., Table 5, in proportion")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/crrelu_paper"))
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--subset", type=int, default=20_000, help="training images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--peak", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--patch", type=int, default=7)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--heads", type=int, default=3)
    return parser.parse_args()


def main():
    """Run what is missing and print the table."""
    args = arguments()
    data = fashion_mnist()

    def build(activation):
        return ViTTiny(
            activation,
            input_shape=(28, 28, 1),
            patch_size=args.patch,
            width=args.width,
            depth=args.depth,
            heads=args.heads,
        )

    steps = args.epochs * (args.subset // args.batch)
    task = Task(
        build,
        data,
        validation=0,
        epochs=args.epochs,
        batch_size=args.batch,
        subset=args.subset,
        recipe=paper_recipe(steps, args.peak),
    )
    result = compare(
        task,
        ACTIVATIONS,
        seeds=args.seeds,
        output=args.runs,
        plots=False,
        progress=True,
    )
    text = f"{describe(args)}\n\n{table(result)}"
    print(text)
    if args.output:
        write_file(args.output, text + "\n")


def describe(args):
    """What was run, in words."""
    return (
        f"ViT with width {args.width} (ViT-Tiny: 192), depth {args.depth} (12), {args.heads} heads "
        f"and patches of {args.patch}×{args.patch} pixels on\nFashion-MNIST ({args.subset} "
        f"training images, 10,000 test images), {args.epochs} epochs of batches of {args.batch},\n"
        f"{args.seeds} seeds, backend {keras.backend.backend()}. Mean ± sample standard deviation; "
        "differences are paired by seed, with\n95 % Student-t intervals. Paper: Table 1, ViT-Tiny "
        "on CIFAR-10, 100 epochs, one run."
    )


def table(result):
    """The comparison with the paper's numbers in a further column."""
    headings, body = result.cells()
    lines = [[*headings, "paper, CIFAR-10 (%)"], ["---", *["--:"] * len(headings)]]
    for cells in body:
        paper = PAPER.get(cells[0])
        lines.append([*cells, "—" if paper is None else f"{100 * paper:.1f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
