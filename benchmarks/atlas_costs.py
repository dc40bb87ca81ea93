"""Seconds of one core that a training of the atlas takes, from the packed trainings.

    python benchmarks/atlas_costs.py > benchmarks/atlas_costs.txt

Of the trainings with the first seed, which include the Fisher spectrum; a diverged one ends early.
Process time of one thread (fashion_cnn: the clock's), on two cores that others worked on as well.
"""

import numpy as np

from keras_actfn.search import bench, bench_names
from keras_actfn.search.benchmarks.tasks import TASKS

FUNCTIONS = (
    "relu(x)",
    "elu(x)",
    "selu(x)",
    "sigmoid(x)",
    "softplus(x)",
    "swish(x)",
    "tanh(x)",
    "max(square(x),sigmoid(x))",
    "mul(tanh(x),expm1(x))",
    "sub(selu(x),sinh(x))",
)


def main():
    """Print a row for each task, then seconds on ten functions."""
    found = [bench(name) for name in bench_names()]
    print(
        f"{'task':<16}{'steps':>6}{'functions':>11}{'median':>8}{'mean':>8}{'nine in ten':>13}"
        f"{'hours in all':>14}"
    )
    for each in found:
        seconds = each.runs["seconds"][:, 0]
        print(
            f"{each.name:<16}{TASKS[each.name].recipe.steps:>6}{len(each):>11,}"
            f"{np.nanmedian(seconds):>8.2f}{np.nanmean(seconds):>8.2f}"
            f"{np.nanquantile(seconds, 0.9):>13.2f}{np.nansum(each.runs['seconds']) / 3600:>14.2f}"
        )
    print()
    print(f"{'function':<30}" + "".join(f"{each.name:>16}" for each in found))
    for function in FUNCTIONS:
        print(f"{function:<30}" + "".join(f"{seconds_of(each, function):>16}" for each in found))


def seconds_of(bench, function):
    """Seconds of a function's first training, or a dash."""
    try:
        seconds = bench.runs["seconds"][bench.index(function), 0]
    except ValueError:
        return "-"
    return "-" if np.isnan(seconds) else f"{seconds:.2f}"


if __name__ == "__main__":
    main()
