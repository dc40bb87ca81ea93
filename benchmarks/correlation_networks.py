r"""Section 4.2 of "Learning Activation Functions via Correlation Objectives": inside networks.

    export KERAS_BACKEND=tensorflow
    python benchmarks/correlation_networks.py            # train what is missing, print the tables
    python benchmarks/correlation_networks.py --table    # print the tables of what there is
    python benchmarks/correlation_networks.py --longest 3 --models resnet --activations relu \
        local "local, solve" "local, rate 1e-3" "local, unit variance"      # why `local` loses

A small VGG-style and a small pre-activation residual network, BatchNormalization before each
activation, which is a PWL with 33 knots on [−3, 3] that starts as ReLU, one for all channels of a
layer. What trains the knots:

    relu                  nothing: a PWL with ReLU's knots is ReLU
    backprop              the loss, as all other weights
    local                 the correlation objective of each layer's inputs (Section 3.2), by Adam
                          at 1e-2 every second step
    local, solve          the same objective; every second step the knots go a hundredth of the
                          way to its optimum
    local, jump           the same, all of the way
    local, rate 1e-3      as `local`, ten times slower
    local, unit variance  as `local`, with f held at unit variance

Each network is tested twice: with the moving averages of BatchNormalization as training left
them, and with averages of 40 batches that the finished network sees. Where the knots move after
every step, the averages of training are those of functions that are no more. What then is left of
a loss comes from the functions.

For fixed ReLU the tables say where the objective would lead: L of ReLU, the optimum for each
layer's inputs, the optimum if the labels are permuted (what is left is noise), and the share of
the even part in the optimum's values at the knots in [−2, 2], their mean taken off. For the other
functions they have L, the optimum, and Swish's fit (β and R²) beside the family that fits best.

Fashion-MNIST, 3,000 training images, batch 128, Adam 1e-3, 20 epochs as in the paper; 2,000 test
images. Each finished run is at once a line of `--results`.
"""

import time

import keras
import numpy as np
import paper_runs
from keras import layers

from keras_actfn import datasets
from keras_actfn.callbacks import LocalCorrelation
from keras_actfn.layers import PWL
from keras_actfn.models.moving_averages import renew_moving_averages
from keras_actfn.theory import compare_shapes
from keras_actfn.theory.sign_patterns import solve
from keras_actfn.training.results import in_columns

BASE, BATCH_SIZE = "relu", 128
#: Arguments of `LocalCorrelation`; None: the knots are not trained by it.
VARIANTS = {
    "relu": None,
    "backprop": None,
    "local": {},
    "local, solve": {"solve": True},
    "local, jump": {"solve": True, "learning_rate": 1.0},
    "local, rate 1e-3": {"learning_rate": 1e-3},
    "local, unit variance": {"projection": "unit_variance"},
}
#: What the paper's section has, and its objective solved exactly.
MODES = tuple(VARIANTS)[:4]


def arguments(given=None):
    """The command line."""
    data, models = ("fashion_mnist",), ("vgg", "resnet")
    parser = paper_runs.parser(__doc__, __file__, data, models, VARIANTS, 20)
    parser.set_defaults(subset=3_000, activations=list(MODES))
    return parser.parse_args(given)


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    return [
        (model, seed, variant)
        for model in args.models
        for seed in args.seeds
        for variant in args.activations
    ]


def rule(args):
    """What decides a run's result besides model, activation and seed, but for the machine."""
    return paper_runs.rule(args, BATCH_SIZE)


def build(model, activation):
    """A small network with BatchNormalization before each activation layer."""

    def conv(x, filters, strides=1):
        return layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)

    def normalised(x):
        return activation()(layers.BatchNormalization(momentum=0.9)(x))

    inputs = x = keras.Input((28, 28, 1))
    if model == "vgg":
        for filters in (16, 32, 64):
            x = normalised(conv(x, filters))
            x = layers.MaxPooling2D()(x)
        x = normalised(conv(x, 64))
    else:
        x = conv(x, 16, strides=2)
        for filters, strides in ((16, 1), (32, 2), (64, 2)):
            shortcut = x
            x = normalised(x)
            if strides > 1:
                shortcut = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
            x = conv(normalised(conv(x, filters, strides)), filters)
            x = layers.Add()([x, shortcut])
        x = normalised(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def refresh(model, x, batches=40):
    """Make the averages of BatchNormalization again."""
    rng = np.random.default_rng(0)
    chosen = (rng.choice(len(x), BATCH_SIZE, replace=False) for _ in range(batches))
    renew_moving_averages(model, (x[rows] for rows in chosen))


def train_missing(args):
    """Train every run of the plan that is not in the file."""
    data, count = datasets.load(args.data, args.data_path), args.subset
    x, y = np.asarray(data.x_train[:count]), np.asarray(data.y_train[:count])
    test = np.asarray(data.x_test[:2000]), np.asarray(data.y_test[:2000])

    def train(run):
        name, seed, variant = run
        keras.utils.set_random_seed(seed)
        model = build(name, PWL)
        found = [layer for layer in model.layers if isinstance(layer, PWL)]
        for layer in found:
            layer.trainable = variant != BASE
        options, callbacks = VARIANTS[variant], []
        if options is not None:
            callbacks = [LocalCorrelation(x, y, seed=seed, every=2, renew=0, **options)]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        started = time.perf_counter()
        history = model.fit(x, y, BATCH_SIZE, args.longest, verbose=0, callbacks=callbacks).history
        seconds = round(time.perf_counter() - started, 1)
        measured = {"train_accuracy": history["accuracy"][-1], "seconds": seconds}
        measured["test_accuracy"] = model.evaluate(*test, batch_size=500, verbose=0)[1]
        refresh(model, x)
        measured["refreshed_accuracy"] = model.evaluate(*test, batch_size=500, verbose=0)[1]
        model.compile("sgd", loss)  # the knots belong to no optimiser that has begun
        measured |= objective_of(model, x, y)
        if variant == BASE:
            labels = np.random.default_rng(seed).permutation(y)
            permuted = objective_of(model, x, labels)
            measured |= {f"permuted_{key}": value for key, value in permuted.items()}
        else:
            measured["values"] = [keras.ops.convert_to_numpy(f.values).tolist() for f in found]
        return measured

    paper_runs.train_missing(args.results, rule(args), plan(args), train)


def objective_of(model, x, labels):
    """L of each layer's function, the optimum for its inputs, and what the optimum is like."""
    meter = LocalCorrelation(x, labels, learning_rate=0.0, momentum=0.95, seed=99)
    meter.set_model(model)
    for _ in range(40):
        meter.update()
    best = [solve(meter.statistics(i).unit(0)) for i in range(len(meter.layers))]
    return {
        "objectives": [float(values.mean()) for values in meter.objectives()],
        "optima": [float(one.objective) for one in best],
        "even": [even_share(one.values) for one in best],
    }


def even_share(values):
    """Share of the even part in the sum of squares at the 23 knots in the middle of 33."""
    middle = values[5:28] - values[5:28].mean()
    even = (middle + middle[::-1]) / 2
    return float(np.sum(even**2) / np.sum(middle**2))


def accuracies(args, records):
    """Accuracies of the variants in one network, and their differences to ReLU."""
    base = {seed: records[seed, BASE] for seed in args.seeds if (seed, BASE) in records}
    body = []
    for variant in args.activations:
        runs = {s: records[s, variant] for s in args.seeds if (s, variant) in records}
        cells = [variant, str(len(runs))]
        for name in ("train_accuracy", "test_accuracy", "refreshed_accuracy"):
            values = [100 * run[name] for run in runs.values()]
            cells.append(f"{np.mean(values):.2f}" if values else "missing")
        for name in ("test_accuracy", "refreshed_accuracy"):
            pairs = [(run[name], base[seed][name]) for seed, run in runs.items() if seed in base]
            cells.append("—" if variant == BASE or not pairs else paper_runs.interval(pairs))
        body.append(cells)
    headings = ["knots", "seeds", "train (%)", "test (%)", "refreshed (%)"]
    headings += ["test − relu (points, 95 % interval)", "refreshed − relu"]
    return in_columns(headings, body)


def of_relu(runs):
    """Where the objective would lead from ReLU, layer by layer: means over seeds."""
    names = ("objectives", "optima", "permuted_optima", "even")
    means = np.array([[run[name] for name in names] for run in runs]).mean(axis=0)
    rows = [
        [str(layer), *(f"{value:.4f}" for value in column[:3]), f"{column[3]:.2f}"]
        for layer, column in enumerate(means.T, start=1)
    ]
    headings = ["layer", "L of relu", "optimum", "permuted labels", "even share"]
    return in_columns(headings, rows)


def shapes(runs):
    """The functions of each layer, seed by seed, and how close they are to their optimum."""
    knots = np.linspace(-3, 3, 33)
    rows = []
    for layer in range(len(runs[0]["values"])):
        fits = [compare_shapes(knots, run["values"][layer]) for run in runs]
        swish = [fit["swish"] for fit in fits]
        rows.append(
            [
                str(layer + 1),
                f"{np.mean([run['objectives'][layer] for run in runs]):.4f}",
                f"{np.mean([run['optima'][layer] for run in runs]):.4f}",
                ", ".join(f"{one.beta:.2f}" for one in swish),
                ", ".join(f"{one.r2:.3f}" for one in swish),
                ", ".join(f.best.family + "~" * f.best.mirrored for f in fits),
            ]
        )
    return in_columns(["layer", "L", "optimum", "β", "R² of Swish", "best fit"], rows)


def table(args, records):
    """All tables of the runs there are, and what is missing."""
    parts = [
        f"Training knots inside networks: Fashion-MNIST, {args.subset:,} training images, "
        f"{args.longest} epochs of batches of {BATCH_SIZE}; test on 2,000 images;\n'refreshed': "
        "with new averages of BatchNormalization. Differences are paired by seed, with 95 % "
        "Student-t intervals."
    ]
    for model in args.models:
        mine = paper_runs.of_model(records, model)
        parts += [f"{model}. {paper_runs.computed_in(mine)}", accuracies(args, mine)]
        for variant in args.activations:
            runs = [mine[seed, variant] for seed in args.seeds if (seed, variant) in mine]
            if runs and variant == BASE:
                parts += [f"{model}, fixed ReLU, means over seeds", of_relu(runs)]
            elif runs and all("values" in run for run in runs):
                title = f"{model}, {variant}; β, R² and fit seed by seed (~: fitted in −x)"
                parts += [title, shapes(runs)]
    absent = paper_runs.missing(plan(args), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def main(given=None):
    """Train what is missing and print the tables."""
    args = arguments(given)
    paper_runs.run(args, rule, train_missing, table)


if __name__ == "__main__":
    main()
