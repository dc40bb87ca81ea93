"""Names for the help texts.

The tables themselves import Keras, and a help text does not wait for that.
`tests/cli/test_help.py` compares each with its table.
"""

#: `applications.MODELS`.
MODELS = (
    "lenet5",
    "kerasnet",
    "resnet56",
    "alexnet",
    "all_cnn_c",
    "resnet56v2",
    "mobilevit_v2",
    "coatnet",
    "resnet50",
    "vgg11",
    "resnet10",
    "resnet18",
    "vit_tiny",
    "deit_tiny",
    "tnt_small",
)

#: `applications.TABLE_MODELS`.
TABLE_MODELS = ("mlp",)

#: `datasets.DATASETS`.
DATASETS = ("fashion_mnist", "digits", "cifar10", "cifar100", "imagenette")

#: `training.RECIPES`.
RECIPES = (
    "adam",
    "hull",
    "hull_alexnet",
    "correlation",
    "crrelu_vision",
    "aquasurf_cifar",
    "aquasurf_cifar_resnet",
    "aquasurf_160",
    "aquasurf_160_resnet50",
    "aquasurf_160_coatnet",
)

#: `expressions.SPACES`.
SPACES = ("three_node", "four_node", "coatnet")

#: `search.REGRESSORS`.
REGRESSORS = ("knr", "rfr", "svr", "gpr", "distance_gp", "random")

#: `search.EMBEDDINGS`.
EMBEDDINGS = ("union", "outputs", "spectra", "pca")

#: `search.benchmarks.run.FEATURE_SETS`.
FEATURE_SETS = ("both", "outputs", "spectra")

#: `search.benchmarks.tasks.TASKS`.
ATLAS = (
    "fashion_cnn",
    "digits_mlp",
    "diamonds_mlp",
    "fashion_resnet",
    "fashion_vit",
    "chat_lm",
    "image_inr",
    "heat_pinn",
)

#: `search.PRUNERS`.
PRUNERS = ("median", "halving")

#: `fisher.ENGINES`.
ENGINES = ("native", "kfac_jax")


def listed(names: tuple[str, ...]) -> str:
    """Return the names as in "a, b or c"."""
    return f"{', '.join(names[:-1])} or {names[-1]}"
