"""Every example in the docstrings of the package runs, and `>>>` prints what it says."""

import doctest
import importlib

import keras
import numpy as np
import pytest
from documentation import ROOT, docstring_examples, doctests

import keras_actfn
from keras_actfn import datasets

pytestmark = pytest.mark.once

MODULES = sorted([*ROOT.glob("keras_actfn/**/*.py"), *ROOT.glob("applications/*.py")])
EXAMPLES = {
    f"{path.relative_to(ROOT).with_suffix('')}:{name}": (path, examples)
    for path in MODULES
    for name, examples in docstring_examples(path)
}
DOCTESTS = {f"{path.stem}:{test.name}": (path, test) for path in MODULES for test in doctests(path)}

#: Examples that a test cannot run: compiled only.
NOT_RUN = {
    "keras_actfn/datasets/cifar:cifar10": "needs CIFAR-10's archive",
    "keras_actfn/datasets/image_folders:imagenette": "needs Imagenette's images",
    "keras_actfn/datasets/fashion:fashion_mnist": "trains on all of Fashion-MNIST",
    "keras_actfn/finetuning/preference_data:read_hh": "needs a file of HH",
    "keras_actfn/search/benchmarks/run:run_bench": "360 searches",
    "keras_actfn/search/loop:ActivationSearch": "minutes; docs/searching.md is run",
    "keras_actfn/search/probing:probe_many": "needs a cluster",
    "keras_actfn/training/compare:compare": "a minute; tests/training compares",
    "keras_actfn/surgery/replace:replace_activations": "downloads weights",
    "applications/gpt2_presets:gpt2_from_preset": "downloads weights",
    "applications/gpt2_presets:HubTokenizer": "downloads a vocabulary",
}


def module_of(path):
    """The module of a source file."""
    folder = "" if path.is_relative_to(ROOT / "keras_actfn") else "keras_actfn."
    parts = path.relative_to(ROOT).with_suffix("").parts
    return importlib.import_module(folder + ".".join(part for part in parts if part != "__init__"))


@pytest.fixture
def names(tmp_path, monkeypatch, tables_as_before):
    """The names that examples may use besides those of their module (see CONTRIBUTING.md)."""
    monkeypatch.chdir(tmp_path)

    def build_model(activation):
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(8),
                keras_actfn.activation(activation),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )

    data = datasets.digits().subset(64)
    model = build_model("pwl(knots=5)")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return {
        "__name__": "__main__",
        "keras": keras,
        "np": np,
        "keras_actfn": keras_actfn,
        "build_model": build_model,
        "model": model,
        "data": data,
        "x": data.x_train,
        "y": data.y_train,
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_fenced_examples_run(name, names):
    path, examples = EXAMPLES[name]
    namespace = {**vars(module_of(path)), **names}
    for example in examples:
        code = example.compiled()
        if name not in NOT_RUN:
            exec(code, namespace)


@pytest.mark.parametrize("name", DOCTESTS)
def test_doctests_print_what_they_say(name, names):
    path, test = DOCTESTS[name]
    test.globs = {**vars(module_of(path)), **names}
    output = []
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    runner.run(test, out=output.append, clear_globs=False)
    assert runner.failures == 0, "".join(output)


def test_what_is_not_run_is_there():
    assert set(NOT_RUN) <= set(EXAMPLES)
