"""The atlas's image and heat equation: functions found and learned against tanh, sin and gelu.

    export KERAS_BACKEND=torch
    python benchmarks/coordinates.py           # train what is missing, write the table
    python benchmarks/coordinates.py --table   # write the table of what there is

The found function is the best of the atlas on the same task, by validation data and five more
seeds of the first `CANDIDATES`. Every function
has its own learning rate: of `RATES` times the task's, the best by the mean validation metric of
two seeds; where that is the largest or the smallest tried, the next one is tried as well, up to
`WIDEST`. With that rate it is trained with five other seeds and tested; differences to tanh are
paired by seed. The image's training, validation and test points are different pixels; the heat
equation's error is that of other points than those it is trained on. Finished trainings are lines
of `coordinates.jsonl` in `--folder`, and are not repeated. One thread.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from keras_actfn._files import append_line, read_lines, write_file
from keras_actfn.search import bench
from keras_actfn.search.benchmarks.tasks import task_of, train_function
from keras_actfn.training import paired_difference
from keras_actfn.training.results import in_columns

TASKS = ("image_inr", "heat_pinn")
USUAL = ("tanh", "sin(x)", "gelu")
LEARNED = (
    "crrelu",
    "spline(initial=tanh)",
    "scaled(tanh)",
    "scaled(sin(x))",
    "rational(initial=tanh)",
)
BASE = "tanh"
RATES, WIDEST = (0.25, 0.5, 1.0, 2.0), 16.0
CANDIDATES, CHOOSING = 10, (100, 101, 102, 103, 104)
TUNING, SEEDS = (100, 101), (10, 11, 12, 13, 14)


def main(given=None):
    """Train what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/coordinates"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    args = parser.parse_args(given)
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    runs = Runs(args.folder / "coordinates.jsonl", train=not args.table)
    text = "\n\n".join(table(name, runs) for name in TASKS) + "\n"
    print(text)
    write_file(Path(__file__).with_suffix(".txt"), text)


class Runs:
    """Finished trainings by task, function, factor of the learning rate, and seed.

    Args:
        path: Where they are kept.
        train: Whether to train what is asked for and not there; it is None otherwise.
    """

    def __init__(self, path, train):
        self.path, self.train = path, train
        self.done = {self._key(line): line for line in read_lines(path)}

    def _key(self, line):
        return line["task"], line["recipe"], line["function"], line["factor"], line["seed"]

    def get(self, task, function, factor, seed):
        """The task's metric on validation and test data; chance's where training diverged."""
        rate = factor * task.recipe.learning_rate
        recipe = dataclasses.replace(task.recipe, learning_rate=rate)
        names = ("task", "recipe", "function", "factor", "seed")
        line = dict(zip(names, (task.name, str(recipe), function, factor, seed), strict=True))
        key = self._key(line)
        if key not in self.done and self.train:
            found = train_function(task, function, seed, recipe, spectrum=False)
            for part in ("validation", "test"):
                value = None if found["diverged"] else found[f"{part}_{task.metric}"]
                line[part] = task.chance if value is None else value
            append_line(self.path, line)
            print(f"{key[0]} {function} x{factor} seed {seed}: {line['test']:.4f}", file=sys.stderr)
            self.done[key] = line
        return self.done.get(key)


def found_function(task, runs):
    """The best function of the atlas by fresh seeds, or None, and how many were trained.

    The best of many by one seed or a few is one of the luckiest: as at the end of a search, the
    first `CANDIDATES` are trained again.
    """
    known = bench(task.name)
    order = np.argsort(np.where(np.isfinite(known.score), -known.score, np.inf))
    names = [known.functions[i] for i in order[:CANDIDATES]]
    sign, scores = 1 if task.mode == "max" else -1, []
    for name in names:
        lines = [runs.get(task, name, 1.0, seed) for seed in CHOOSING]
        if None in lines:
            return None, 0
        scores.append(sign * np.mean([line["validation"] for line in lines]))
    return names[int(np.argmax(scores))], int(np.isfinite(known.score).sum())


def tuned_factor(task, runs, function):
    """The best factor of the learning rate, or None where trainings are missing."""
    sign, scores = 1 if task.mode == "max" else -1, {}
    wanted = list(RATES)
    while wanted:
        for factor in wanted:
            lines = [runs.get(task, function, factor, seed) for seed in TUNING]
            if None in lines:
                return None
            scores[factor] = sign * np.mean([line["validation"] for line in lines])
        best = max(scores, key=scores.get)
        beyond = {max(scores): 2 * best, min(scores): best / 2}.get(best)
        wanted = [beyond] if beyond and 1 / WIDEST <= beyond <= WIDEST else []
    return best


def table(name, runs):
    """One task's table."""
    task = task_of(name)
    best, trained = found_function(task, runs)
    functions = (*USUAL, *([best] if best else []), *LEARNED)
    sign = 1 if task.mode == "max" else -1
    tested, factors = {}, {}
    for function in functions:
        factor = tuned_factor(task, runs, function)
        if factor is None:
            continue
        factors[function] = factor
        lines = [runs.get(task, function, factors[function], seed) for seed in SEEDS]
        if None not in lines:
            tested[function] = [line["test"] for line in lines]
    better = "more" if sign > 0 else "less"
    head = (
        f"{name}, {task.title}: test {task.metric} ({better} is better),\n"
        f"mean ± standard deviation of {len(SEEDS)} seeds; differences paired by seed, 95 % "
        f"Student-t intervals.\nFound: the best of {trained} functions, "
        f"by {len(CHOOSING)} more seeds of the first {CANDIDATES}."
    )
    body = []
    for function in sorted(tested, key=lambda f: -sign * np.mean(tested[f])):
        values = tested[function]
        difference = "—"
        if function != BASE and BASE in tested:
            mean, low, high = paired_difference(values, tested[BASE])
            difference = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
        rate = factors[function] * task.recipe.learning_rate
        label = f"{function} (found)" if function == best else function
        spread = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        body.append([label, f"{rate:g}", spread, difference])
    missing = [function for function in functions if function not in tested]
    tail = f"\n\nMissing: {', '.join(missing)}" if missing else ""
    headings = ["function", "learning rate", f"test {task.metric}", f"difference to {BASE}"]
    return f"{head}\n\n{in_columns(headings, body)}{tail}"


if __name__ == "__main__":
    main()
