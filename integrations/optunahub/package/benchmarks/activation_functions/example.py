"""Search a benchmark of activation functions."""

from __future__ import annotations

import optuna
import optunahub

problem = optunahub.load_local_module(
    package="benchmarks/activation_functions", registry_root="./package/"
).Problem()
sampler = optunahub.load_local_module(
    package="samplers/pool", registry_root="./package/"
).PoolSampler(problem.kernel(), seed=0)

study = optuna.create_study(directions=problem.directions, sampler=sampler)
study.optimize(problem, n_trials=30)
print(problem.functions[study.best_params["candidate"]], study.best_value)
