"""Whether the atlas's short recipes order functions as recipes of twice the epochs do.

    KERAS_BACKEND=torch python benchmarks/atlas_recipes.py [TASK …] > benchmarks/atlas_recipes.txt

Spearman's rank correlation of the validation metric after the task's recipe, as packed, seed 0, and
after twice the epochs with another seed, over functions of the atlas that learn, evenly by rank,
at most 40. Fresh seeds, so that what is common to the two is the function alone.
"""

import dataclasses
import sys

import numpy as np
import torch
from scipy.stats import spearmanr

from keras_actfn.search import bench
from keras_actfn.search.benchmarks.tasks import TASKS, train_function

COUNT, LONG_SEED = 40, 7


def main(names):
    """Print a line for each task."""
    torch.set_num_threads(1)
    for name in names:
        task, found = TASKS[name], bench(name)
        score = found.seed_scores()[:, 0]
        learn = np.flatnonzero(score > np.nanmin(score) + 0.1 * np.ptp(score[np.isfinite(score)]))
        rows = learn[np.argsort(score[learn])][:: max(1, len(learn) // COUNT)][:COUNT]
        recipe = dataclasses.replace(task.recipe, epochs=2 * task.recipe.epochs)
        sign = 1 if task.mode == "max" else -1
        values = []
        for row in rows:
            run = train_function(task, found.functions[row], LONG_SEED, recipe, spectrum=False)
            value = run[f"validation_{task.metric}"]
            values.append(-np.inf if run["diverged"] or value is None else sign * value)
        rank = spearmanr(score[rows], values).statistic
        print(f"{name}: {len(rows)} functions, rank correlation {rank:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["digits_mlp", "fashion_resnet", "fashion_vit"])
