"""Learning rate and initialisation of each task of the atlas, chosen over six kinds of functions.

    KERAS_BACKEND=torch python benchmarks/atlas_tuning.py [TASK …] >> benchmarks/atlas_tuning.txt

Each setting is trained with one seed. The figure that decides is the mean over the functions of the
score, cut at chance: a rate that only suits ReLU loses. One thread.
"""

import dataclasses
import sys

import numpy as np
import torch

from keras_actfn.search.benchmarks.tasks import TASKS, train_function

FUNCTIONS = ("relu", "tanh", "swish", "add(erf(x),arctan(x))", "sigmoid", "square")
RATES = {
    "digits_mlp": (0.025, 0.05, 0.1),
    "diamonds_mlp": (0.01, 0.02, 0.04),
    "fashion_resnet": (0.05, 0.1, 0.2),
    "fashion_vit": (5e-3, 0.01, 0.02),
    "chat_lm": (0.01, 0.02, 0.04),
    "image_inr": (0.015, 0.03, 0.06),
    "heat_pinn": (0.03, 0.06, 0.12),
}


def main(names):
    """Print a table for each task."""
    torch.set_num_threads(1)
    for name in names or RATES:
        task = TASKS[name]
        print(f"{name}: validation {task.metric} ({task.mode}); {task.recipe}")
        print(
            f"{'initialization':<16}{'rate':>8}{'mean':>9}  "
            + "".join(f"{f[:12]:>13}" for f in FUNCTIONS)
        )
        for initialization in ("autoinit", "keras"):
            for rate in RATES[name]:
                recipe = dataclasses.replace(
                    task.recipe, learning_rate=rate, initialization=initialization
                )
                values = np.array([value(task, function, recipe) for function in FUNCTIONS])
                print(
                    f"{initialization:<16}{rate:>8g}{values.mean():>9.4f}  "
                    + "".join(f"{v:>13.4f}" for v in values),
                    flush=True,
                )
        print()


def value(task, function, recipe):
    """The validation metric, at worst that of chance."""
    found = train_function(task, function, 0, recipe, spectrum=False)[f"validation_{task.metric}"]
    found = task.chance if found is None else found
    return max(found, task.chance) if task.mode == "max" else min(found, task.chance)


if __name__ == "__main__":
    main(sys.argv[1:])
