"""Seconds of one core that a training of the atlas takes, on ten functions of different families.

    KERAS_BACKEND=torch python benchmarks/atlas_costs.py [TASK …] > benchmarks/atlas_costs.txt

Process time of one thread, the Fisher spectrum included, and how much of it the spectrum takes.
"""

import sys

import torch

from keras_actfn.search.benchmarks.tasks import TASKS, train_function

FUNCTIONS = (
    "relu(x)",
    "tanh(x)",
    "swish(x)",
    "sigmoid(x)",
    "add(erf(x),arctan(x))",
    "square(x)",
    "mul(log_sigmoid(x),selu(x))",
    "max(exp(x),cosh(x))",
    "min(arcsinh(x),softplus(x))",
    "sub(relu(x),bessel_i0e(x))",
)


def main(names):
    """Print a row for each function and task."""
    torch.set_num_threads(1)
    print(f"{'task':<16}{'function':<30}{'seconds':>8}{'spectrum':>10}{'steps':>7}  validation")
    for name in names or [name for name in TASKS if name != "fashion_cnn"]:
        task = TASKS[name]
        train_function(task, "relu", 0)  # Reads the data.
        for function in FUNCTIONS:
            found = train_function(task, function, 0)
            value = found[f"validation_{task.metric}"]
            ends = "diverged" if found["diverged"] else f"{task.metric} {value:.4f}"
            print(
                f"{name:<16}{function:<30}{found['seconds']:>8.2f}"
                f"{found.get('spectrum_seconds', 0.0):>10.2f}{found['steps']:>7}  {ends}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
