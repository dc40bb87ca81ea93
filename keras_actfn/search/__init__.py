"""Search for the activation function that a model should use on its data.

`ActivationSearch` needs Optuna, scikit-learn, UMAP and SciPy: install `keras-actfn[search]`.
"""

from .atlas.portfolio import portfolio
from .atlas.recommend import Recommendation, recommend
from .benchmarks.act_bench import ActBench
from .benchmarks.packed import bench, bench_names
from .benchmarks.published import load_act_bench
from .embedding import EMBEDDINGS
from .hyperparameter import ActivationSampler, suggest_activation
from .loop import BASELINES, ActivationSearch
from .objective import Evaluation, TrainingObjective
from .pool_sampler import PoolSampler, output_kernel
from .pruning import PRUNERS
from .regressor import Regressor
from .results import BestActivation, SearchRow
from .surrogate import REGRESSORS, CandidateFeatures, register_regressor
from .verdict import Verdict

__all__ = [
    "ActBench",
    "BASELINES",
    "EMBEDDINGS",
    "PRUNERS",
    "REGRESSORS",
    "ActivationSampler",
    "ActivationSearch",
    "BestActivation",
    "CandidateFeatures",
    "Evaluation",
    "PoolSampler",
    "Recommendation",
    "Regressor",
    "SearchRow",
    "TrainingObjective",
    "Verdict",
    "bench",
    "bench_names",
    "load_act_bench",
    "output_kernel",
    "portfolio",
    "recommend",
    "register_regressor",
    "suggest_activation",
]
