"""Why training knots by the correlation objective loses to ReLU in the residual network.

    export KERAS_BACKEND=tensorflow
    python benchmarks/correlation_local.py            # train what is missing, print the table
    python benchmarks/correlation_local.py --table

The residual network of `correlation_paper.py` in a few variants of the local mode, each tested
twice: with the moving averages of BatchNormalization as training left them, and with averages of
40 batches that the finished network sees. The knots move after every step, so the averages are
those of functions that are no more. What then is left of the loss comes from the functions.

For fixed ReLU the table says where the objective would lead: L of ReLU, the optimum for each
layer's inputs, the optimum if the labels are permuted (what is left is noise), and the share of
the even part in the optimum's values at the knots in [−2, 2], their mean taken off.

Fashion-MNIST, 3,000 training images, 3 epochs, batch 128, Adam 1e-3; 2,000 test images.
Each finished run is at once a line of `--results`.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import paper_runs
from correlation_paper import build

from keras_actfn import datasets
from keras_actfn._files import write_file
from keras_actfn.callbacks import LocalCorrelation
from keras_actfn.layers import PWL
from keras_actfn.theory.sign_patterns import solve
from keras_actfn.training import paired_difference
from keras_actfn.training.results import in_columns

MODEL, BASE = "resnet", "relu"
#: What the knots are trained by; None: not at all, a PWL from ReLU is ReLU.
VARIANTS = {
    "relu": None,
    "local": {},
    "local, rate 1e-3": {"learning_rate": 1e-3},
    "local, unit variance": {"projection": "unit_variance"},
    "local, solve": {"solve": True},
}
RULE = {"data": "fashion_mnist", "images": 3000, "epochs": 3, "batch_size": 128}


def plan_of(seeds):
    """The runs in their order: ReLU and the plain local mode first."""
    names = list(VARIANTS)
    return [
        (MODEL, seed, variant)
        for part in (names[:2], names[2:])
        for seed in seeds
        for variant in part
    ]


def refresh(model, x, batches=40):
    """Make the averages of BatchNormalization again, by forward passes as in training."""
    rng = np.random.default_rng(0)
    for _ in range(batches):
        model(x[rng.choice(len(x), RULE["batch_size"], replace=False)], training=True)


def train(run):
    """One run: accuracies with and without the refreshed averages, and L of every layer."""
    _, seed, variant = run
    data = datasets.load("fashion_mnist")
    count = RULE["images"]
    x, y = np.asarray(data.x_train[:count]), np.asarray(data.y_train[:count])
    test = np.asarray(data.x_test[:2000]), np.asarray(data.y_test[:2000])
    keras.utils.set_random_seed(seed)
    model = build(MODEL, PWL)
    options = VARIANTS[variant]
    if options is None:
        for layer in model.layers:
            layer.trainable = not isinstance(layer, PWL)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    callbacks = []
    if options is not None:
        callbacks = [LocalCorrelation(x, y, seed=seed, every=2, **options)]
    started = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=RULE["batch_size"],
        epochs=RULE["epochs"],
        verbose=0,
        callbacks=callbacks,
    ).history
    measured = {"train_accuracy": history["accuracy"][-1]}
    measured["test_accuracy"] = model.evaluate(*test, batch_size=500, verbose=0)[1]
    refresh(model, x)
    measured["refreshed_accuracy"] = model.evaluate(*test, batch_size=500, verbose=0)[1]
    if options is None:
        measured |= objective_of(model, x, y, seed)
    return {**measured, "seconds": round(time.perf_counter() - started, 1)}


def objective_of(model, x, y, seed):
    """L of each layer's function, the optimum for its inputs, and what the optimum is like."""
    permuted = np.random.default_rng(seed).permutation(y)
    found = {}
    for name, labels in (("", y), ("permuted_", permuted)):
        meter = LocalCorrelation(x, labels, learning_rate=0.0, momentum=0.95, seed=99)
        meter.set_model(model)
        for _ in range(40):
            meter.update()
        best = [solve(meter.statistics(i).unit(0)) for i in range(len(meter.layers))]
        found[f"{name}objectives"] = [float(values.mean()) for values in meter.objectives()]
        found[f"{name}optima"] = [float(one.objective) for one in best]
        found[f"{name}even"] = [even_share(one.values) for one in best]
    return found


def even_share(values):
    """Share of the even part in the sum of squares at the 23 knots in the middle of 33."""
    middle = values[5:28] - values[5:28].mean()
    even = (middle + middle[::-1]) / 2
    return float(np.sum(even**2) / np.sum(middle**2))


def table(records, seeds):
    """Accuracies of the variants, and what the objective asks for."""
    body = []
    base = {seed: records[MODEL, seed, BASE] for seed in seeds if (MODEL, seed, BASE) in records}
    for variant in VARIANTS:
        runs = {seed: records.get((MODEL, seed, variant)) for seed in seeds}
        runs = {seed: run for seed, run in runs.items() if run}
        cells = [variant, str(len(runs))]
        for name in ("train_accuracy", "test_accuracy", "refreshed_accuracy"):
            values = [100 * run[name] for run in runs.values()]
            cells.append(f"{np.mean(values):.2f}" if values else "missing")
        for name in ("test_accuracy", "refreshed_accuracy"):
            pairs = [(run[name], base[seed][name]) for seed, run in runs.items() if seed in base]
            cells.append("—" if variant == BASE or not pairs else interval(pairs))
        body.append(cells)
    headings = ["knots", "seeds", "train (%)", "test (%)", "refreshed (%)"]
    headings += ["test − relu (points, 95 % interval)", "refreshed − relu"]
    parts = [in_columns(headings, body)]
    if base:
        names = ("objectives", "optima", "permuted_optima", "even")
        means = np.array([[run[name] for name in names] for run in base.values()]).mean(axis=0)
        rows = [
            [str(i + 1), *(f"{value:.4f}" for value in column[:3]), f"{column[3]:.2f}"]
            for i, column in enumerate(means.T)
        ]
        headings = ["layer", "L of relu", "optimum", "permuted labels", "even share"]
        parts.append(f"Fixed ReLU, means over seeds\n\n{in_columns(headings, rows)}")
    absent = paper_runs.missing(plan_of(seeds), records)
    backends = sorted({record["backend"] for record in records.values()})
    head = (
        f"{__doc__.partition('.')[0]}: Fashion-MNIST, {RULE['images']} training images, "
        f"{RULE['epochs']} epochs,\nbatch {RULE['batch_size']}; test on 2,000 images; 'refreshed': "
        "with new averages of BatchNormalization. Differences are\npaired by seed, with 95 % "
        f"Student-t intervals. Backend: {', '.join(backends) or 'none'}."
    )
    return "\n\n".join([head, *parts, *([absent] if absent else [])]) + "\n"


def interval(pairs):
    """The mean paired difference in points, with its interval from two pairs on."""
    mean, low, high = paired_difference(*zip(*pairs, strict=True))
    ends = "" if low is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    return f"{100 * mean:+.2f}{ends}"


def main():
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, help="file for the table")
    args = parser.parse_args()
    plan = plan_of(args.seeds)
    if not args.table:
        paper_runs.train_missing(args.results, RULE, plan, train)
    text = table(paper_runs.finished(args.results, RULE), args.seeds)
    print(text)
    if args.output:
        write_file(args.output, text)


if __name__ == "__main__":
    main()
