"""AQuaSurF's found functions and its baselines, trained in All-CNN-C and ResNet-56.

    export KERAS_BACKEND=jax
    python benchmarks/aquasurf_paper.py                   # Fashion-MNIST; trains what is missing
    python benchmarks/aquasurf_paper.py --data cifar100   # the paper's data, where its files are
    python benchmarks/aquasurf_paper.py --table           # print the table of what there is

Bingham and Miikkulainen, "Efficient Activation Function Optimization through Surrogate
Modeling", Tables 1 and 3: the twelve functions found in four searches, the eight baselines of
Table 1 and the five that Table 3 adds. Training is that of their Table 5, "full evaluation":
the recipes `aquasurf_cifar` (All-CNN-C) and `aquasurf_cifar_resnet` (ResNet-56), 50 epochs of
batches of 128, 5,000 training images held out. The test images are used once, at the end. The
paper's column is Table 1's: medians of three runs on CIFAR-100.

The runs of a seed share weights, the order of images and augmentation, so differences are
paired by seed. Each finished run is at once a line of `--results`; the command can be stopped
at any time and started again, and the first seed comes first. A run of 50 epochs takes hours on
two cores: this is for a machine with a GPU. The committed table has three epochs of All-CNN-C
(`--models AllCNNC --longest 3`) with five of the functions, in bfloat16 (`--dtype mixed_bfloat16`)
on TensorFlow. On a core with AMX that is less than half of float32's time (`seconds` of ReLU's
first seed, which ran in both). docs/papers.md has the whole command.

Needs: pip install "keras-actfn[cli,expressions]".
"""

import numpy as np
import paper_runs

from keras_actfn.expressions import DISCOVERED
from keras_actfn.training.results import in_columns
from keras_actfn.training.trainer import Trainer

BATCH_SIZE, EPOCHS, HELD_OUT = 128, 50, 5_000
RECIPES = {"AllCNNC": "aquasurf_cifar", "ResNet56V2": "aquasurf_cifar_resnet"}
#: What the others are compared with.
BASES = ("relu(x)", "swish(x)")
#: Table 1, CIFAR-100: All-CNN-C and ResNet-56, per cent. Found functions: see `paper`.
BASELINES = {
    "relu(x)": (68.97, 73.48),
    "elu(x)": (63.12, 74.11),
    "selu(x)": (1.00, 69.67),
    "sigmoid(x)": (1.00, 57.66),
    "softplus(x)": (65.63, 73.97),
    "softsign(x)": (25.70, 66.24),
    "swish(x)": (69.13, 74.01),
    "tanh(x)": (37.57, 67.54),
}
#: What Table 3 adds, for CoAtNet only.
MORE = ("elish(x)", "gelu(x)", "hard_sigmoid(x)", "leakyrelu(x)", "mish(x)")
#: The searches whose networks these are, as `DISCOVERED` names them.
TASKS = {"AllCNNC": "All-CNN-C on CIFAR-100", "ResNet56V2": "ResNet-56 on CIFAR-100"}
ACTIVATIONS = (*BASELINES, *DISCOVERED, *MORE)


def paper(model, activation):
    """The paper's accuracy in per cent, or None."""
    if activation in BASELINES:
        return BASELINES[activation][list(TASKS).index(model)]
    found = DISCOVERED.get(activation)
    return 100 * found.accuracy if found and found.task == TASKS[model] else None


def arguments(given=None):
    """The command line."""
    data = ("fashion_mnist", "cifar100", "cifar10")
    return paper_runs.parser(
        __doc__, __file__, data, tuple(RECIPES), ACTIVATIONS, EPOCHS
    ).parse_args(given)


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    return [
        (model, seed, activation)
        for model in RECIPES
        for seed in args.seeds
        for activation in ACTIVATIONS
        if model in args.models and activation in args.activations
    ]


def rule(args):
    """What decides a run's result besides model, activation and seed, but for the machine."""
    return {
        "data": args.data,
        "recipe": "aquasurf",
        "batch_size": BATCH_SIZE,
        "longest": args.longest,
        "held_out": HELD_OUT,
        "subset": args.subset,
        "dtype": args.dtype,
    }


def train_missing(args):
    """Train every run of the plan that is not in the file."""
    trainers = {}

    def train(run):
        model, seed, activation = run
        if model not in trainers:
            trainers.clear()
            trainers[model] = Trainer(
                paper_runs.task_of(args, model, RECIPES[model], BATCH_SIZE, HELD_OUT)
            )
        return paper_runs.measured(trainers[model], activation, seed)

    paper_runs.train_missing(args.results, rule(args), plan(args), train)


def table(args, records):
    """The rows of one model beside the paper's, for each model, and what is missing."""
    parts = [
        f"AQuaSurF, Tables 1 and 3, {args.data}: {args.longest} epochs of batches of "
        f"{BATCH_SIZE} (the paper: {EPOCHS}),\n{args.subset or 'all'} training images but "
        f"{HELD_OUT:,} held out. Mean ± sample standard deviation over seeds; "
        "differences\nare paired by seed, with 95 % Student-t intervals (none for one seed). A run "
        "that diverged counts with an\naccuracy of 0. The paper's numbers are medians of three "
        f"runs on CIFAR-100. {paper_runs.computed_in(records)}"
    ]
    *first, difference = paper_runs.HEADINGS
    differences = [difference.replace("relu", base) for base in BASES]
    headings = [*first, *differences, "diverged", "paper, CIFAR-100 (%)"]
    for model in args.models:
        mine = paper_runs.of_model(records, model)
        body = []
        for activation in args.activations:
            diverged = [r["diverged"] for (_, name), r in mine.items() if name == activation]
            theirs = paper(model, activation)
            body.append(
                [
                    *paper_runs.row(mine, args.seeds, activation, BASES[0]),
                    paper_runs.row(mine, args.seeds, activation, BASES[1])[-1],
                    str(np.sum(diverged, dtype=int)),
                    "—" if theirs is None else f"{theirs:.2f}",
                ]
            )
        parts.append(f"{model}, recipe {RECIPES[model]}\n\n{in_columns(headings, body)}")
    absent = paper_runs.missing(plan(args), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def main(given=None):
    """Train what is missing and print the table."""
    args = arguments(given)
    paper_runs.run(args, rule, train_missing, table)


if __name__ == "__main__":
    main()
