"""Do functions found on small tasks help in a larger one that no search has seen?

    export KERAS_BACKEND=tensorflow
    python benchmarks/aquasurf_transfer.py            # train what is missing, print the table
    python benchmarks/aquasurf_transfer.py --table    # print the table of what there is

Bingham and Miikkulainen, "Efficient Activation Function Optimization through Surrogate
Modeling", Table 2, train functions found with smaller networks in ResNet-50 on ImageNet; nine
are in it, eight of them above ReLU. Here the functions come from the eight tasks of the atlas, each
the one with the best mean score on that task's validation data, among functions that were trained
there with three seeds. The larger task is LeNet-5 (431,080 parameters) on all of Fashion-MNIST:
Adam at 1e-3, 8 epochs of batches of 128, 5,000 training images held out. The test images are used
once, at the end. Three of the eight small tasks train on 5,000 or fewer of the same images.

The runs of a seed share weights and the order of images, so differences to ReLU are paired by
seed. Each finished run is at once a line of `--results`; the command can be stopped at any time
and started again.

Needs: pip install "keras-actfn[cli,expressions]".
"""

import functools

import numpy as np
import paper_runs

from keras_actfn import search
from keras_actfn.training import paired_difference
from keras_actfn.training.results import in_columns
from keras_actfn.training.trainer import Trainer

MODEL, RECIPE, BASE = "LeNet5", "adam", "relu(x)"
BATCH_SIZE, EPOCHS, HELD_OUT = 128, 8, 5_000


def found(bench):
    """The best function of a task of the atlas, and its scores and ReLU's, seed by seed."""
    scores = bench.seed_scores()
    trained = np.isfinite(scores).all(axis=1)
    means = np.where(trained, np.where(trained[:, None], scores, 0).mean(axis=1), -np.inf)
    best = int(np.argmax(means))
    return bench.functions[best], scores[best], scores[bench.index(BASE)]


def functions():
    """The found functions and the tasks that each is the best of."""
    tasks = {}
    for name in search.bench_names():
        tasks.setdefault(found(search.bench(name))[0], []).append(name)
    return tasks


def plan(args):
    """(model, seed, activation) of every run, in the order in which they are trained."""
    return [(MODEL, seed, name) for seed in args.seeds for name in args.activations]


def rule(args):
    """What decides a run's result besides activation and seed, but for the machine."""
    return {
        "data": args.data,
        "recipe": RECIPE,
        "batch_size": BATCH_SIZE,
        "longest": args.longest,
        "held_out": HELD_OUT,
        "subset": args.subset,
        "dtype": args.dtype,
    }


def train_missing(args):
    """Train every run of the plan that is not in the file."""

    @functools.cache
    def trainer():
        return Trainer(paper_runs.task_of(args, MODEL, RECIPE, BATCH_SIZE, HELD_OUT))

    def train(run):
        _, seed, activation = run
        return paper_runs.measured(trainer(), activation, seed)

    paper_runs.train_missing(args.results, rule(args), plan(args), train)


def gain(bench):
    """The found function's gain over ReLU in its own task's metric, with what is missing."""
    _, best, relu = found(bench)
    pairs = [(a, b) for a, b in zip(best, relu, strict=True) if np.isfinite(b)]
    mean, low, high = paired_difference(*zip(*pairs, strict=True))
    interval = "one seed" if low is None else f"[{low:+.3f}, {high:+.3f}]"
    return f"{mean:+.3f} {interval}"


def table(args, records):
    """Each function's accuracy in the larger task, and its gain in the task it comes from."""
    tasks = functions()
    head = (
        f"Functions found on the atlas's tasks, in LeNet-5 on {args.data}: recipe {RECIPE}, "
        f"{args.longest} epochs of batches of {BATCH_SIZE},\n{args.subset or 'all'} training "
        f"images but {HELD_OUT:,} held out. Mean ± sample standard deviation over seeds; "
        "differences are\npaired by seed, with 95 % Student-t intervals. A run that diverged "
        "counts with an accuracy of 0.\n"
        f"{paper_runs.computed_in(records)} The last columns: the task where the function is the "
        "best of all by validation data, and its gain\nover ReLU there, in units of that task's "
        "metric (more is better). It was chosen by these very scores, so the\ngain is too large."
    )
    body = []
    for activation in args.activations:
        runs = {key[1:]: record for key, record in records.items()}
        diverged = [r["diverged"] for (_, name), r in runs.items() if name == activation]
        benches = [search.bench(name) for name in tasks.get(activation, ())]
        body.append(
            [
                *paper_runs.row(runs, args.seeds, activation, BASE),
                str(np.sum(diverged, dtype=int)),
                ", ".join(f"{one.name} ({one.metric})" for one in benches) or "—",
                ", ".join(gain(one) for one in benches) or "—",
            ]
        )
    headings = [*paper_runs.HEADINGS, "diverged", "found on", "gain there"]
    parts = [head, in_columns(headings, body)]
    absent = paper_runs.missing(plan(args), records)
    return "\n\n".join([*parts, absent] if absent else parts) + "\n"


def main(given=None):
    """Train what is missing and print the table."""
    names = (BASE, *functions())
    parser = paper_runs.parser(__doc__, __file__, ("fashion_mnist",), (MODEL,), names, EPOCHS)
    args = parser.parse_args(given)
    paper_runs.run(args, rule, train_missing, table)


if __name__ == "__main__":
    main()
