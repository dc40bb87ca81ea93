"""The hull paper's Table II, trained to the end: LeNet-5 and KerasNet, its twelve activations.

    export KERAS_BACKEND=tensorflow
    python benchmarks/hull_paper.py                  # train what is missing, then print the table
    python benchmarks/hull_paper.py --table          # print the table of what there is
    python benchmarks/hull_paper.py --data cifar10   # the same on CIFAR-10, where its files are

Manessi and Rozza, "Learning Combinations of Activation Functions", section IV. The recipe is
theirs (`hull`: RMSprop at 1e-4, flips and shifts). The paper gives neither a batch size nor a
number of epochs nor a rule to stop; here batches have 32 images, as in the Keras example that
KerasNet comes from, and

    a tenth of the training images is held out; training ends once the accuracy on them has not
    risen for 10 epochs, after 100 epochs at most; the weights of the epoch with the best
    accuracy on them (the first of several) are tested, once.

The runs of a seed share weights, the order of images and augmentation, so differences to ReLU
are paired by seed. Each finished run is at once a line of `--results`, with a checksum; the
command can be stopped at any time and started again, and the first seed comes first.

Needs: pip install "keras-actfn[cli]".
"""

import argparse
import math
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_actfn import applications, datasets
from keras_actfn._files import append_line, read_lines, write_file
from keras_actfn.layers import AffineHullActivation, ConvexHullActivation
from keras_actfn.models import graph
from keras_actfn.models.seeds import batch_order, seeds_drawn_from
from keras_actfn.plotting import save_figure
from keras_actfn.training import paired_difference
from keras_actfn.training.monitor import RunMonitor
from keras_actfn.training.network import Network, Reference
from keras_actfn.training.results import in_columns
from keras_actfn.training.setup import Setup
from keras_actfn.training.threads import threads_for

HERE = Path(__file__).parent
BATCH_SIZE, LONGEST, PATIENCE = 32, 100, 10
MODELS = ("LeNet5", "KerasNet")
BASE = "relu"
#: Table II: top-1 accuracy in per cent, in the order of `COLUMNS`.
COLUMNS = (
    ("fashion_mnist", "LeNet5"),
    ("fashion_mnist", "KerasNet"),
    ("cifar10", "LeNet5"),
    ("cifar10", "KerasNet"),
)
PAPER = {
    "identity": (90.50, 90.51, 75.27, 75.23),
    "relu": (91.06, 90.79, 80.37, 79.97),
    "tanh": (92.33, 93.43, 78.96, 82.86),
    "leakyrelu(x)": (91.03, 91.13, 80.94, 80.07),
    "conv(identity,relu)": (91.87, 92.39, 80.94, 84.74),
    "conv(identity,tanh)": (92.36, 93.64, 79.45, 78.53),
    "conv(tanh,relu)": (92.56, 92.04, 80.21, 84.80),
    "conv(identity,relu,tanh)": (92.21, 92.94, 80.48, 85.21),
    "aff(identity,relu)": (92.83, 93.37, 80.52, 84.93),
    "aff(identity,tanh)": (92.65, 94.41, 78.97, 86.05),
    "aff(tanh,relu)": (93.02, 93.48, 81.23, 84.83),
    "aff(identity,relu,tanh)": (92.80, 94.41, 80.13, 87.45),
}
#: What is trained first, so that a table of these is complete early.
FIRST = ("relu", "tanh", "conv(identity,relu)", "aff(tanh,relu)", "aff(identity,relu,tanh)")
FUNCTIONS = {"identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def arguments(given=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="fashion_mnist", choices=["fashion_mnist", "cifar10"])
    parser.add_argument("--data-path", help="the data's files, if not where they usually are")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--activations", nargs="+", default=list(PAPER), choices=list(PAPER))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=HERE / "hull_paper.jsonl")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--plot", type=Path, help="picture of the learned activations")
    parser.add_argument("--subset", type=int, help="training images, for a trial")
    parser.add_argument("--longest", type=int, default=LONGEST, help="epochs, for a trial")
    return parser.parse_args(given)


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    order = [*FIRST, *(name for name in PAPER if name not in FIRST)]
    return [
        (model, seed, activation)
        for model in MODELS
        for part in (order[: len(FIRST)], order[len(FIRST) :])
        for seed in args.seeds
        for activation in part
        if model in args.models and activation in args.activations
    ]


def rule(args):
    """What decides a run's result besides model, activation and seed, but for the machine."""
    return {
        "data": args.data,
        "recipe": "hull",
        "batch_size": BATCH_SIZE,
        "longest": args.longest,
        "patience": PATIENCE,
        "subset": args.subset,
    }


def finished(args):
    """The records of the file that follow the rule, by (model, seed, activation)."""
    wanted = rule(args)
    return {
        (record["model"], record["seed"], record["activation"]): record
        for record in read_lines(args.results)
        if {key: record.get(key) for key in wanted} == wanted
    }


def train_missing(args):
    """Train every run of the plan that is not in the file."""
    done = finished(args)
    missing = [run for run in plan(args) if run not in done]
    if not missing:
        return
    data = datasets.load(args.data, args.data_path)
    setups = {}
    for model, seed, activation in missing:
        if model not in setups:
            setup = setup_of(args, data, model)
            setups = {model: (setup, Reference(setup))}  # one model's starts at a time
        measured = train(*setups[model], activation, seed)
        record = {**rule(args), "model": model, "activation": activation, "seed": seed}
        append_line(args.results, {**record, **measured})
        print(
            f"{model}, {activation}, seed {seed}: test accuracy "
            f"{100 * measured['test_accuracy']:.2f} %, epoch {measured['best_epoch']} of "
            f"{measured['epochs']}, {measured['seconds']:.0f} s",
            flush=True,
        )


def setup_of(args, data, model):
    """The trainings' data, recipe and length for one model."""
    images = len(data.x_train)
    return Setup.of(
        lambda activation: getattr(applications, model)(
            activation, input_shape=data.x_train.shape[1:]
        ),
        data,
        epochs=args.longest,
        batch_size=BATCH_SIZE,
        recipe="hull",
        subset=args.subset,
        validation=images // 10,
    )


def train(setup, reference, activation, seed):
    """One run by the rule above: what it measured, and the coefficients it learned."""
    split, network = setup.split, Network(setup, activation)
    network.start_from(seed, reference)
    used = setup.steps_per_epoch * setup.batch_size
    started, monitor = time.perf_counter(), RunMonitor()
    accuracies, best, weights = [], 0, network.trained.get_weights()
    with seeds_drawn_from(seed), threads_for(network.trained, setup.batch_size):
        for epoch in range(setup.epochs):
            order = batch_order(seed, epoch, len(split.x_train))[:used]
            network.trained.fit(
                **network.batches(split.x_train[order], split.y_train[order], seed),
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[monitor],
            )
            measured = network.measure(*split.validation)
            if monitor.diverged or not math.isfinite(measured["loss"]):
                break
            accuracies.append(measured["accuracy"])
            print(f"  epoch {epoch + 1}: {measured['accuracy']:.4f}", file=sys.stderr, flush=True)
            if accuracies[-1] > max(accuracies[:-1], default=-1.0):
                best, weights = epoch + 1, network.trained.get_weights()
            elif epoch + 1 - best >= PATIENCE:
                break
        network.trained.set_weights(weights)
        test = network.measure(*split.test)
    return {
        "backend": keras.backend.backend(),
        "test_accuracy": test["accuracy"] if best else 0.0,
        "best_epoch": best,
        "epochs": len(accuracies),
        "validation_accuracy": [round(value, 6) for value in accuracies],
        "coefficients": coefficients_of(network.model),
        "seconds": round(time.perf_counter() - started, 1),
    }


def coefficients_of(model):
    """The coefficients of each hull of a model, in the order of its layers."""
    return [
        keras.ops.convert_to_numpy(layer.coefficients).round(6).tolist()
        for layer in graph.nested(model)
        if isinstance(layer, ConvexHullActivation | AffineHullActivation)
    ]


def table(args, records):
    """The rows of one model beside the paper's, for each model, and what is missing."""
    parts = [describe(args, records)]
    for model in args.models:
        mine = {key[1:]: record for key, record in records.items() if key[0] == model}
        column = COLUMNS.index((args.data, model))
        body = [row(args, mine, activation, column) for activation in args.activations]
        headings = [
            *("activation", "seeds", "test accuracy (%)"),
            f"difference to {BASE} (points, 95 % interval)",
            *("epoch tested", "paper (%)", "paper's difference"),
        ]
        parts.append(f"{model}\n\n{in_columns(headings, body)}")
    for heading, cells in coefficients(args, records):
        parts.append(f"{heading}\n\n{in_columns(*cells)}")
    missing = [run for run in plan(args) if run not in records]
    if missing:
        lines = [f"{model}, seed {seed}: {name}" for model, seed, name in missing]
        parts.append(f"Missing: {len(lines)} of {len(plan(args))} runs\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def describe(args, records):
    """What was run, in words."""
    backends = sorted({record["backend"] for record in records.values()})
    part = "all" if args.subset is None else f"{args.subset}"
    return (
        f"Manessi and Rozza, Table II, {args.data}: recipe hull, batches of {BATCH_SIZE}, {part} "
        "training images but the tenth held out.\nTraining ends when the accuracy on the tenth "
        f"has not risen for {PATIENCE} epochs, after {args.longest} at most; the best epoch's\n"
        "weights are tested. Mean ± sample standard deviation over seeds; differences are paired "
        "by seed, with 95 % Student-t\nintervals (none for one seed). The paper's numbers are of "
        f"one run each. Backend: {', '.join(backends) or 'none'}."
    )


def row(args, records, activation, column):
    """One activation's cells."""
    runs = {seed: records[seed, activation] for seed in args.seeds if (seed, activation) in records}
    paper = PAPER[activation][column]
    gap = "—" if activation == BASE else f"{paper - PAPER[BASE][column]:+.2f}"
    accuracies = [100 * record["test_accuracy"] for record in runs.values()]
    spread = f" ± {np.std(accuracies, ddof=1):.2f}" if len(accuracies) > 1 else ""
    return [
        activation,
        str(len(runs)),
        f"{np.mean(accuracies):.2f}{spread}" if runs else "missing",
        difference(records, runs, activation),
        ", ".join(str(record["best_epoch"]) for record in runs.values()) or "—",
        f"{paper:.2f}",
        gap,
    ]


def difference(records, runs, activation):
    """The paired difference over the seeds that both have."""
    pairs = [
        (record["test_accuracy"], records[seed, BASE]["test_accuracy"])
        for seed, record in runs.items()
        if (seed, BASE) in records
    ]
    if not pairs or activation == BASE:
        return "—"
    mean, low, high = paired_difference(*zip(*pairs, strict=True))
    seeds = "" if len(pairs) == len(runs) else f" ({len(pairs)} seeds)"
    interval = "" if low is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    return f"{100 * mean:+.2f}{interval}{seeds}"


def coefficients(args, records):
    """(heading, (headings, body)) of the learned coefficients of each model, means over seeds."""
    for model in args.models:
        body = []
        for activation in args.activations:
            learned = learned_by(args, records, model, activation)
            if len(learned):
                body += [
                    [activation, str(layer), str(len(learned)), *map(_three_digits, means)]
                    for layer, means in enumerate(_by_function(activation, learned), start=1)
                ]
        if body:
            headings = ["activation", "layer", "seeds", *FUNCTIONS]
            yield f"{model}: learned coefficients, means over seeds", (headings, body)


def learned_by(args, records, model, activation):
    """Coefficients (seeds, layers, functions); none for what has no coefficients."""
    runs = [records.get((model, seed, activation)) for seed in args.seeds]
    return np.array([run["coefficients"] for run in runs if run and run["coefficients"]])


def functions_of(activation):
    """The names of a hull's base functions."""
    return activation.partition("(")[2].rstrip(")").split(",")


def _by_function(activation, learned):
    """For each layer the mean coefficient of every function, None for one that is not there."""
    names = functions_of(activation)
    for means in learned.mean(axis=0):
        found = dict(zip(names, means, strict=True))
        yield [found.get(name) for name in FUNCTIONS]


def _three_digits(value):
    return "—" if value is None else f"{value:.3f}"


def draw(args, records):
    """Learned activations as in Figure 3: a row for each model, a panel for each layer."""
    from matplotlib.figure import Figure

    x = np.linspace(-4, 4, 201)
    shown = [
        (model, activation, learned)
        for model in args.models
        for activation in args.activations
        if len(learned := learned_by(args, records, model, activation))
    ]
    models = list(dict.fromkeys(model for model, _, _ in shown)) or list(args.models)
    columns = max((learned.shape[1] for _, _, learned in shown), default=1)
    figure = Figure(figsize=(3 * columns, 3 * len(models) + 0.8), layout="constrained")
    panels = figure.subplots(len(models), columns, squeeze=False)
    sets = list(dict.fromkeys(a.partition("(")[2] for a in PAPER if "," in a))
    for model, activation, learned in shown:
        line = {
            "color": f"C{sets.index(activation.partition('(')[2])}",
            "linestyle": "-" if activation.startswith("aff") else "--",
        }
        basis = np.array([FUNCTIONS[name](x) for name in functions_of(activation)])
        for layer in range(learned.shape[1]):
            axes = panels[models.index(model)][layer]
            for one in learned[:, layer]:
                axes.plot(x, one @ basis, linewidth=0.5, alpha=0.4, **line)
            axes.plot(x, learned[:, layer].mean(axis=0) @ basis, label=activation, **line)
            axes.set_title(f"{model}, layer {layer + 1}")
    for axes in panels.flat:
        axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    labels = {}
    for axes in panels.flat:
        labels |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if labels:
        figure.legend(labels.values(), labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def main(given=None):
    """Train what is missing, print the table and draw the picture."""
    args = arguments(given)
    if not args.table:
        train_missing(args)
    records = finished(args)
    text = table(args, records)
    print(text)
    if args.output:
        write_file(args.output, text)
    if args.plot:
        save_figure(draw(args, records), args.plot)


if __name__ == "__main__":
    main()
