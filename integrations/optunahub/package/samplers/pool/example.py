"""Find the word that is closest to a hidden one."""

from __future__ import annotations

import numpy as np
import optuna
import optunahub

# Forty words, and how many pairs of letters any two of them share.
words = [a + b + c for a in "bdfgl" for b in "aeio" for c in "nt"]
pairs = np.array([[a + b in word for a in "abdefgilnot" for b in "abdefgilnot"] for word in words])
kernel = pairs.astype(float) @ pairs.T / 2

sampler = optunahub.load_local_module(
    package="samplers/pool", registry_root="./package/"
).PoolSampler(kernel, seed=0)


def objective(trial: optuna.Trial) -> float:
    """Count the letters in their place."""
    word = words[trial.suggest_int("candidate", 0, len(words) - 1)]
    return sum(a == b for a, b in zip(word, "got", strict=True))


study = optuna.create_study(direction="maximize", sampler=sampler)
study.optimize(objective, n_trials=20)
print(words[study.best_trial.params["candidate"]], study.best_value)
