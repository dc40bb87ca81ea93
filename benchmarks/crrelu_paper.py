"""The CRReLU paper's comparison of activations in a vision transformer, on data that is here.

    export KERAS_BACKEND=jax
    python benchmarks/crrelu_paper.py                   # train what is missing, print the tables
    python benchmarks/crrelu_paper.py --table           # print the tables of what there is
    python benchmarks/crrelu_paper.py --longest 100     # the paper's number of epochs

A ViT of reduced width and depth on Fashion-MNIST, with the seven activations of Table 1 in Sun et
al., "A Method on Searching Better Activation Functions", and this library's `aff` and `pwl`, beside
that table (ViT-Tiny on CIFAR-10, 100 epochs). The recipe is the paper's in proportion: AdamW with
weight decay 0.05 (not on biases, normalisations, tokens, positions and activations), clip norm 1, a
linear warm-up over the first fifth of the steps from peak / 250, then a cosine to peak / 25. The
peak is higher than the paper's 2.5e-4, as training is shorter. No augmentation, no dropout.

CRReLU = max(0, x) + ε x exp(−x²/2) learns ε, which starts at 0.01: a table has it for each layer.
The paper leaves steps of EAFO during training to future work (sections 1, 4.3 and 7). `pwl, eafo`
is `pwl`, learnable piecewise-linear functions from ReLU, with a step of the `EAFO` callback after
each epoch, on inputs of 4,096 training images that it draws anew for each step. H is the entropy,
in nats, of the function's output given that the input lies in its largest monotone region: before
the step by a kernel estimate, the change on inputs that the estimate has not seen. H − log std
takes out the scale, which the next layer's weights can undo.

Each finished run is at once a line of `--results`; the command can be stopped at any time and
started again. A second table has the activations that decide the paper's claim with three times
the epochs, `crrelu_paper_30.txt`:

    export KERAS_BACKEND=torch
    python benchmarks/crrelu_paper.py --longest 30 --activations gelu crrelu prelu pwl
"""

import time

import keras
import numpy as np
import paper_runs
from keras_actfn.applications import ViTTiny

from keras_actfn import datasets
from keras_actfn.callbacks import EAFO
from keras_actfn.layers import CRReLU
from keras_actfn.models.layer_inputs import find_layers
from keras_actfn.training.results import in_columns

MODEL, BASE, STEPPED = "ViT", "gelu", "pwl, eafo"
BATCH_SIZE, PEAK = 128, 1e-3
ACTIVATIONS = (
    *("gelu", "elu", "prelu", "celu", "silu", "mish", "crrelu"),
    *("aff(identity,relu,tanh)", "pwl", STEPPED),
)
# Table 1: top-one accuracy of ViT-Tiny on CIFAR-10, in percent.
PAPER = {
    "gelu": 70.6,
    "elu": 66.9,
    "prelu": 78.6,
    "celu": 66.9,
    "silu": 68.3,
    "mish": 68.7,
    "crrelu": 80.2,
}
UNDECAYED = [
    *("bias", "gamma", "beta", "tokens", "positions"),
    *("epsilon", "alpha", "coefficients", "values"),
]


def arguments(given=None):
    """The command line."""
    data = ("fashion_mnist",)
    parser = paper_runs.parser(__doc__, __file__, data, (MODEL,), ACTIVATIONS, 10)
    parser.set_defaults(subset=20_000)
    return parser.parse_args(given)


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    return [(MODEL, seed, activation) for seed in args.seeds for activation in args.activations]


def rule(args):
    """What decides a run's result besides activation and seed, but for the machine."""
    return {**paper_runs.rule(args, BATCH_SIZE), "peak": PEAK}


def optimizer_for(steps):
    """The optimizer of the recipe above for so many steps in all."""
    warm = max(1, steps // 5)
    schedule = keras.optimizers.schedules.CosineDecay(
        PEAK / 250, steps - warm, alpha=1 / 25, warmup_target=PEAK, warmup_steps=warm
    )
    made = keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0)
    made.exclude_from_weight_decay(var_names=UNDECAYED)
    return made


def build(activation, shape, classes):
    """A ViT of width 48 (ViT-Tiny: 192), depth 4 (12) and three heads, patches of 7×7 pixels."""
    if activation == "prelu":
        activation = one_slope
    return ViTTiny(
        activation.partition(", ")[0] if activation == STEPPED else activation,
        input_shape=shape,
        classes=classes,
        patch_size=7,
        width=48,
        depth=4,
        heads=3,
    )


def one_slope():
    """PReLU with one slope for the layer, 0.25 at the start, as in the paper's framework."""
    return keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1, 2]
    )


def train_missing(args):
    """Train every run of the plan that is not in the file."""
    data, count = datasets.load(args.data, args.data_path), args.subset
    x, y = np.asarray(data.x_train[:count]), np.asarray(data.y_train[:count])

    def train(run):
        _, seed, activation = run
        keras.utils.set_random_seed(seed)
        model = build(activation, x.shape[1:], data.classes)
        optimizer = optimizer_for(args.longest * -(-len(x) // BATCH_SIZE))
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        eafo = EAFO(x, seed=seed) if activation == STEPPED else None
        started = time.perf_counter()
        model.fit(x, y, BATCH_SIZE, args.longest, verbose=0, callbacks=[eafo] if eafo else [])
        measured = {"seconds": round(time.perf_counter() - started, 1)}
        test = model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)
        measured["test_accuracy"] = float(test[1])
        if activation == "crrelu":
            found = find_layers(model, CRReLU)
            measured["epsilon"] = [
                float(keras.ops.convert_to_numpy(layer.epsilon).mean()) for layer in found
            ]
        if eafo:
            measured["steps"] = steps_of(eafo)
        return measured

    paper_runs.train_missing(args.results, rule(args), plan(args), train)


def steps_of(eafo):
    """The callback's records as lists: epoch and layer from 1, what came of it, the entropies."""
    return [
        [
            *(one.epoch + 1, eafo.labels.index(one.layer) + 1, one.accepted, one.reason),
            *(one.entropy_before, one.entropy_change, one.normalised_change),
        ]
        for one in eafo.records
    ]


def accuracies(args, records):
    """Test accuracies, differences to GELU, and the paper's numbers."""
    body = []
    for activation in args.activations:
        cells = paper_runs.row(records, args.seeds, activation, BASE)
        theirs = PAPER.get(activation)
        gain = "—" if theirs is None or activation == BASE else f"{theirs - PAPER[BASE]:+.1f}"
        body.append([*cells, "—" if theirs is None else f"{theirs:.1f}", gain])
    headings = [heading.replace("relu", BASE) for heading in paper_runs.HEADINGS]
    return in_columns([*headings, "paper, CIFAR-10 (%)", "paper's difference"], body)


def epsilons(runs):
    """The learned ε of each layer, a column for each of the seeds' runs."""
    layers = zip(*(run["epsilon"] for run in runs.values()), strict=True)
    body = [[str(i), *(f"{value:+.4f}" for value in row)] for i, row in enumerate(layers, start=1)]
    return in_columns(["layer", *(f"seed {seed}" for seed in runs)], body)


def entropies(runs):
    """Steps of EAFO by layer and epoch: how many were kept, and the means of those."""
    taken = {}
    for run in runs.values():
        for epoch, layer, *rest in run["steps"]:
            taken.setdefault((layer, epoch), []).append(rest)
    body = []
    for (layer, epoch), steps in sorted(taken.items()):
        kept = np.array([numbers for accepted, _, *numbers in steps if accepted])
        cells = ["—"] * 4
        if len(kept):
            before, change, normalised = kept.mean(axis=0)
            cells = [f"{before:+.3f}", f"{before + change:+.3f}"]
            cells += [f"{change:+.3f}", f"{normalised:+.3f}"]
        body.append([str(layer), str(epoch), f"{len(kept)} of {len(steps)}", *cells])
    headings = ["layer", "epoch", "kept", "H before", "H after", "change of H", "of H − log std"]
    return in_columns(headings, body)


def table(args, records):
    """All tables, and what is missing."""
    mine = paper_runs.of_model(records, MODEL)
    parts = [
        f"A ViT of width 48 (ViT-Tiny: 192), depth 4 (12), three heads and patches of 7×7 pixels "
        f"on Fashion-MNIST:\n{args.subset:,} training images, {args.longest} epochs of batches of "
        f"{BATCH_SIZE}; 10,000 test images. Mean ± sample standard deviation\nover seeds; "
        "differences are paired by seed, with 95 % Student-t intervals. Paper: Table 1, ViT-Tiny "
        f"on\nCIFAR-10, 100 epochs, one run. {paper_runs.computed_in(records)}",
        accuracies(args, mine),
    ]
    runs = {
        name: {seed: mine[seed, name] for seed in args.seeds if (seed, name) in mine}
        for name in ("crrelu", STEPPED)
    }
    if runs[STEPPED]:
        difference = paper_runs.row(mine, args.seeds, STEPPED, "pwl")[-1]
        parts.append(f"{STEPPED} − pwl: {difference} points")
    if runs["crrelu"]:
        parts += ["ε of CRReLU at the end; 0.01 at the start", epsilons(runs["crrelu"])]
    if runs[STEPPED]:
        parts += ["Steps of EAFO after each epoch; means of the kept ones"]
        parts += [entropies(runs[STEPPED])]
    absent = paper_runs.missing(plan(args), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def main(given=None):
    """Train what is missing and print the tables."""
    args = arguments(given)
    paper_runs.run(args, rule, train_missing, table)


if __name__ == "__main__":
    main()
