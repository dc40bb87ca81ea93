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
are paired by seed. Each finished run is at once a line of `--results`; the command can be stopped
at any time and started again, and goes on after the last epoch kept in `--checkpoints`, at most a
quarter of a minute behind. The five functions of `FIRST` come first, seed by seed. One core is best
used by TensorFlow. On an accelerator JAX runs an epoch as one compiled loop; the model is small,
and one card trains several runs at once, in processes with `--seeds`, `--activations` and a file
of `--results` of their own.

Needs: pip install "keras-actfn[cli]".
"""

import math
import sys
import time
from pathlib import Path

import keras
import numpy as np
import paper_runs
from paper_checkpoint import Checkpoint

from keras_actfn.layers import AffineHullActivation, ConvexHullActivation
from keras_actfn.models import graph
from keras_actfn.models.seeds import batch_order, seeds_drawn_from
from keras_actfn.plotting import save_figure
from keras_actfn.training.batches import EpochBatches, OrderedBatches, given_to_fit
from keras_actfn.training.by_recipe import ByRecipe
from keras_actfn.training.monitor import RunMonitor
from keras_actfn.training.network import Reference
from keras_actfn.training.results import in_columns
from keras_actfn.training.setup import Setup
from keras_actfn.training.threads import threads_for

BATCH_SIZE, LONGEST, PATIENCE = 32, 100, 10
MODELS = ("LeNet5", "KerasNet")
BASE = "relu"
BETWEEN_SAVES = 15  # seconds
#: Columns of Table II, and its top-one accuracies in per cent.
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
X = np.linspace(-4, 4, 401)  # where learned functions are drawn
FUNCTIONS = {"identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}


def arguments(given=None):
    """The command line."""
    data = ("fashion_mnist", "cifar10")
    parser = paper_runs.parser(__doc__, __file__, data, MODELS, PAPER, LONGEST)
    parser.add_argument("--plot", type=Path, help="picture of the learned activations")
    parser.add_argument("--checkpoints", type=Path, default=Path("runs/hull_paper"))
    return parser.parse_args(given)


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    rest = [name for name in PAPER if name not in FIRST]
    return [
        (model, seed, activation)
        for model in MODELS
        for part in (FIRST, rest)
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
        "dtype": args.dtype,
    }


def routine_of(args, model):
    """How one model is trained, with a tenth of the images held out."""
    return ByRecipe(Setup.of(paper_runs.task_of(args, model, "hull", BATCH_SIZE, 0.1)))


def train_missing(args):
    """Train every run of the plan that is not in the file."""
    routines = {}

    def trained(run):
        model, seed, activation = run
        if model not in routines:
            routines.clear()  # one model's data and starts at a time
            routine = routine_of(args, model)
            routines[model] = routine, Reference(routine)
        name = f"{args.data}-{model}-{list(PAPER).index(activation)}-{seed}.npz"
        checkpoint = Checkpoint(args.checkpoints / name, {**rule(args), "run": list(run)})
        measured = train(*routines[model], activation, seed, checkpoint)
        checkpoint.path.unlink(missing_ok=True)
        return measured

    paper_runs.train_missing(args.results, rule(args), plan(args), trained)


def train(routine, reference, activation, seed, checkpoint):
    """One run by the rule above: what it measured, and the coefficients it learned."""
    setup, network = routine.setup, routine.network(activation)
    network.start_from(seed, reference)
    used = setup.steps_per_epoch * setup.batch_size
    accuracies, best, weights, before = checkpoint.load(network)
    started = saved = time.perf_counter() - before
    epoch_of = epochs_of(network, setup)
    with seeds_drawn_from(seed), threads_for(network.trained, setup.batch_size):
        for epoch in range(len(accuracies), setup.epochs):
            if accuracies and epoch - best >= PATIENCE:
                break
            finite = epoch_of(epoch, batch_order(seed, epoch, len(setup.train))[:used])
            measured = network.measure(setup.validation)
            if not finite or not math.isfinite(measured["loss"]):
                break
            accuracies.append(measured["accuracy"])
            print(f"  epoch {epoch + 1}: {measured['accuracy']:.4f}", file=sys.stderr, flush=True)
            if accuracies[-1] > max(accuracies[:-1], default=-1.0):
                best, weights = epoch + 1, network.trained.get_weights()
            now = time.perf_counter()
            if now - saved > BETWEEN_SAVES:
                checkpoint.save(network, accuracies, best, weights, now - started)
                saved = now
        network.trained.set_weights(weights)
        test = network.measure(setup.test)
    return {
        "test_accuracy": test["accuracy"] if best else 0.0,
        "best_epoch": best,
        "epochs": len(accuracies),
        "validation_accuracy": [round(value, 6) for value in accuracies],
        "coefficients": coefficients_of(network.model),
        "seconds": round(time.perf_counter() - started, 1),
    }


def epochs_of(network, setup):
    """A function that trains epoch `epoch` on images in an order: whether its losses are finite."""
    model, x, y = network.trained, setup.train.x, setup.train.y
    if keras.backend.backend() == "jax":
        import epoch_on_jax

        if epoch_on_jax.pays():
            loop = epoch_on_jax.EpochLoop(model, x, y)
            steps = (-1, setup.batch_size)
            return lambda _, order: bool(np.isfinite(loop.train(order.reshape(steps))).all())

    def fit(epoch, order):
        monitor, batches = RunMonitor(), OrderedBatches(x, y, order, setup.batch_size)
        model.fit(
            given_to_fit(EpochBatches(lambda _: batches, setup.steps_per_epoch)),
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[monitor],
        )
        return not monitor.diverged

    return fit


def coefficients_of(model):
    """The coefficients of each hull of a model, in the order of its layers."""
    return [
        keras.ops.convert_to_numpy(layer.coefficients).round(6).tolist()
        for layer in graph.nested(model)
        if isinstance(layer, ConvexHullActivation | AffineHullActivation)
    ]


def table(args, records):
    """The rows of one model beside the paper's, for each model, and what is missing."""
    parts = [describe(args)]
    headings = [*paper_runs.HEADINGS, "epoch tested", "paper (%)", "paper's difference"]
    for model in args.models:
        body = [row(args, records, model, activation) for activation in args.activations]
        computed = paper_runs.computed_in(paper_runs.of_model(records, model))
        parts.append(f"{model}. {computed}\n\n{in_columns(headings, body)}")
    for model in args.models:
        body = [
            [
                *(activation, str(layer + 1), str(len(learned)), *map(_three_digits, means)),
                f"{max(map(fall, curves(activation, learned[:, layer]))):.3f}",
            ]
            for activation in args.activations
            if len(learned := learned_by(args, records, model, activation))
            for layer, means in enumerate(_by_function(activation, learned))
        ]
        if body:
            columns = in_columns(["activation", "layer", "seeds", *FUNCTIONS, "falls by"], body)
            parts.append(
                f"{model}: learned coefficients, means over seeds; 'falls by': how far a function "
                "goes down from left to right on [-4, 4],\nthe largest of the seeds; 0 for one "
                f"that is monotone\n\n{columns}"
            )
    absent = paper_runs.missing(plan(args), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def describe(args):
    """What was run, in words."""
    part = "all" if args.subset is None else f"{args.subset}"
    return (
        f"Manessi and Rozza, Table II, {args.data}: recipe hull, batches of {BATCH_SIZE}, {part} "
        "training images but the tenth held out.\nTraining ends when the accuracy on the tenth "
        f"has not risen for {PATIENCE} epochs, after {args.longest} at most; the best epoch's\n"
        "weights are tested. Mean ± sample standard deviation over seeds; differences are paired "
        "by seed, with 95 % Student-t\nintervals (none for one seed). The paper's numbers are of "
        "one run each."
    )


def row(args, records, model, activation):
    """One activation's cells, with the epochs and the paper's numbers."""
    mine = paper_runs.of_model(records, model)
    column = COLUMNS.index((args.data, model))
    paper = PAPER[activation][column]
    epochs = [
        str(mine[seed, activation]["best_epoch"])
        for seed in args.seeds
        if (seed, activation) in mine
    ]
    return [
        *paper_runs.row(mine, args.seeds, activation, BASE),
        ", ".join(epochs) or "—",
        f"{paper:.2f}",
        "—" if activation == BASE else f"{paper - PAPER[BASE][column]:+.2f}",
    ]


def learned_by(args, records, model, activation):
    """Coefficients (seeds, layers, functions); none for what has no coefficients."""
    runs = [records.get((model, seed, activation)) for seed in args.seeds]
    return np.array([run["coefficients"] for run in runs if run and run["coefficients"]])


def functions_of(activation):
    """The names of a hull's base functions."""
    return activation.partition("(")[2].rstrip(")").split(",")


def curves(activation, learned):
    """The learned functions at `X`, (seeds, positions), of one layer's coefficients."""
    return learned @ np.array([FUNCTIONS[name](X) for name in functions_of(activation)])


def fall(values):
    """How far a curve goes down from left to right: the largest f(a) − f(b) with a < b."""
    return float((np.maximum.accumulate(values) - values).max())


def _by_function(activation, learned):
    """For each layer the mean coefficient of every function, None for one that is not there."""
    for means in learned.mean(axis=0):
        found = dict(zip(functions_of(activation), means, strict=True))
        yield [found.get(name) for name in FUNCTIONS]


def _three_digits(value):
    return "—" if value is None else f"{value:.3f}"


def draw(args, records):
    """Learned activations as in Figure 3: a row for each model, a panel for each layer.

    Affine hulls are solid lines, convex ones dashed, of one colour for the same functions; faint
    lines are single seeds.
    """
    from matplotlib.figure import Figure

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
        for layer in range(learned.shape[1]):
            axes = panels[models.index(model)][layer]
            found = curves(activation, learned[:, layer])
            for one in found:
                axes.plot(X, one, linewidth=0.5, alpha=0.4, **line)
            axes.plot(X, found.mean(axis=0), label=activation, **line)
            axes.set_title(f"{model}, layer {layer + 1}")
    labels = {}
    for axes in panels.flat:
        axes.set_visible(axes.has_data())
        axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        labels |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if labels:
        figure.legend(labels.values(), labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def main(given=None):
    """Train what is missing, print the table and draw the picture."""
    args = arguments(given)
    records = paper_runs.run(args, rule, train_missing, table)
    if args.plot:
        save_figure(draw(args, records), args.plot)


if __name__ == "__main__":
    main()
