"""Inside a vision transformer: CRReLU's learned ε of each layer, and EAFO's steps in training.

    export KERAS_BACKEND=jax
    python benchmarks/crrelu_layers.py            # train what is missing, print the tables
    python benchmarks/crrelu_layers.py --table    # print the tables of what there is

Sun et al., "A Method on Searching Better Activation Functions" (EAFO and CRReLU), derive CRReLU
= max(0, x) + ε x exp(−x²/2) with a learnable ε that starts at 0.01, and leave steps of EAFO during
training to future work (sections 1, 4.3 and 7). The network, data and recipe are those of
`crrelu_paper.py`: a small ViT on Fashion-MNIST, 10 epochs. Three trainings of each seed:

    crrelu      the learned ε of each layer;
    pwl         learnable piecewise-linear functions from ReLU, trained by the loss alone;
    pwl, eafo   the same, with a step of the `EAFO` callback after each epoch, on inputs of
                4,096 training images that it draws anew for each step.

H is the entropy, in nats, of the function's output given that the input lies in its largest
monotone region: before the step by a kernel estimate, the change on inputs that the estimate has
not seen. H − log std takes out the scale, which the next layer's weights can undo.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import paper_runs
from crrelu_paper import paper_recipe
from keras_actfn.applications import ViTTiny

from keras_actfn import datasets
from keras_actfn._files import write_file
from keras_actfn.callbacks import EAFO
from keras_actfn.layers import CRReLU
from keras_actfn.models.layer_inputs import find_layers
from keras_actfn.training.results import in_columns

MODEL, BASE = "ViT", "pwl"
VARIANTS = ("crrelu", "pwl", "pwl, eafo")
RULE = {"data": "fashion_mnist", "images": 20_000, "epochs": 10, "batch_size": 128, "peak": 1e-3}


def build(activation):
    """The network of `crrelu_paper.py`."""
    return ViTTiny(activation, input_shape=(28, 28, 1), patch_size=7, width=48, depth=4, heads=3)


def plan_of(seeds):
    """(model, seed, variant) of every run, in the order in which they are trained."""
    return [(MODEL, seed, variant) for seed in seeds for variant in VARIANTS]


def train(run):
    """One run: its accuracy, and ε or the entropies of every layer."""
    _, seed, variant = run
    data = datasets.load("fashion_mnist")
    count, size, epochs = RULE["images"], RULE["batch_size"], RULE["epochs"]
    x, y = np.asarray(data.x_train[:count]), np.asarray(data.y_train[:count])
    keras.utils.set_random_seed(seed)
    model = build(variant.partition(",")[0])
    optimizer = paper_recipe(epochs * -(-count // size), RULE["peak"]).optimizer()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    steps = EAFO(x, seed=seed) if variant.endswith("eafo") else None
    started = time.perf_counter()
    model.fit(x, y, size, epochs, verbose=0, callbacks=[steps] if steps else [])
    seconds = round(time.perf_counter() - started, 1)
    accuracy = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)[1]
    measured = {"test_accuracy": float(accuracy), "seconds": seconds}
    if variant == "crrelu":
        found = find_layers(model, CRReLU)
        measured["epsilon"] = [float(keras.ops.mean(layer.epsilon)) for layer in found]
    if steps:
        measured["layers"] = steps.labels
        measured["steps"] = [
            [
                *(one.epoch + 1, steps.labels.index(one.layer) + 1, one.accepted, one.reason),
                *(one.entropy_before, one.entropy_change, one.normalised_change),
            ]
            for one in steps.records
        ]
    return measured


def accuracies(records, seeds):
    """Test accuracies of the variants and their differences to PWL without steps."""
    mine = paper_runs.of_model(records, MODEL)
    body = [paper_runs.row(mine, seeds, variant, BASE) for variant in VARIANTS]
    return in_columns([h.replace("relu", BASE) for h in paper_runs.HEADINGS], body)


def epsilons(records, seeds):
    """The learned ε, a row for each layer."""
    runs = [records[key] for seed in seeds if (key := (MODEL, seed, "crrelu")) in records]
    body = []
    for layer, values in enumerate(zip(*(run["epsilon"] for run in runs), strict=True), start=1):
        body.append([str(layer), *(f"{value:+.4f}" for value in values)])
    found = [f"seed {seed}" for seed in seeds if (MODEL, seed, "crrelu") in records]
    return in_columns(["layer", *found], body)


def entropies(records, seeds):
    """Steps of EAFO by epoch and layer: how many were kept, and the means of those."""
    runs = [records[key] for seed in seeds if (key := (MODEL, seed, "pwl, eafo")) in records]
    taken = {}
    for run in runs:
        for epoch, layer, *rest in run["steps"]:
            taken.setdefault((layer, epoch), []).append(rest)
    body = []
    for (layer, epoch), steps in sorted(taken.items()):
        kept = np.array([numbers for accepted, _, *numbers in steps if accepted])
        means = kept.mean(axis=0) if len(kept) else None
        cells = ["—"] * 4
        if means is not None:
            before, change, normalised = means
            cells = [f"{before:+.3f}", f"{before + change:+.3f}"]
            cells += [f"{change:+.3f}", f"{normalised:+.3f}"]
        body.append([str(layer), str(epoch), f"{len(kept)} of {len(steps)}", *cells])
    headings = ["layer", "epoch", "kept", "H before", "H after", "change of H", "of H − log std"]
    return in_columns(headings, body)


def table(records, seeds):
    """All tables, and what is missing."""
    head = (
        f"A ViT of width 48 and depth 4 on Fashion-MNIST, {RULE['images']:,} training images, "
        f"{RULE['epochs']} epochs of batches of\n{RULE['batch_size']}; 10,000 test images. Mean ± "
        "sample standard deviation over seeds; differences are paired by seed, with\n95 % "
        f"Student-t intervals. {paper_runs.computed_in(records)}"
    )
    parts = [head, accuracies(records, seeds)]
    parts += ["ε of CRReLU at the end; 0.01 at the start", epsilons(records, seeds)]
    parts += ["Steps of EAFO after each epoch; means of the kept ones", entropies(records, seeds)]
    absent = paper_runs.missing(plan_of(seeds), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def main(given=None):
    """Train what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, help="file for the tables")
    args = parser.parse_args(given)
    if not args.table:
        paper_runs.train_missing(args.results, RULE, plan_of(args.seeds), train)
    text = table(paper_runs.finished(args.results, RULE), args.seeds)
    print(text)
    if args.output:
        write_file(args.output, text)


if __name__ == "__main__":
    main()
