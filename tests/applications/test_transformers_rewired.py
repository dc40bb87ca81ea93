"""Surgery and Fisher spectra of the transformers."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import GPT2, DeiTTiny, TNTSmall, ViTTiny, generate

from keras_actfn.fisher import fisher_spectrum
from keras_actfn.surgery import find_activations, freeze_activations, replace_activations

RNG = np.random.default_rng(0)
IMAGES = RNG.random((4, 8, 8, 1), "float32")
TOKENS = RNG.integers(0, 20, (4, 6)).astype("int32")
SMALL = {"input_shape": (8, 8, 1), "classes": 3, "depth": 1, "width": 12}
BUILDERS = {
    "vit": lambda activation: ViTTiny(activation, **SMALL),
    "deit": lambda activation: DeiTTiny(activation, **SMALL),
    "tnt": lambda activation: TNTSmall(
        activation, pixel_width=8, pixel_heads=2, pixel_stride=2, **SMALL
    ),
    "gpt2": lambda activation: GPT2(
        activation, input_shape=(6,), classes=20, width=8, depth=1, heads=2
    ),
}
#: Layers with weights that are no weighted products.
UNCOVERED = {
    "vit": {"tokens", "positions"},
    "deit": {"tokens", "positions"},
    "tnt": {"tokens", "positions", "pixel_positions"},
    "gpt2": {"positions"},
}


def outputs_of(model, name):
    return keras.ops.convert_to_numpy(model(TOKENS if name == "gpt2" else IMAGES))


def sites_of(model):
    return [site.path for site in find_activations(model) if "activation_" in site.path]


@pytest.mark.once
@pytest.mark.parametrize("name", BUILDERS)
def test_replaced_and_frozen_activations(name):
    model = BUILDERS[name]("tanh")
    sites = sites_of(model)
    assert len(sites) == (2 if name == "tnt" else 1)
    learned = replace_activations(model, "crrelu(epsilon=0)", sites=sites)
    assert learned.count_params() == model.count_params() + len(sites)
    expected = BUILDERS[name]("relu")
    expected.set_weights(model.get_weights())
    np.testing.assert_allclose(
        outputs_of(learned, name), outputs_of(expected, name), rtol=1e-4, atol=1e-6
    )
    assert np.abs(outputs_of(learned, name) - outputs_of(model, name)).max() > 1e-6
    for site in sites:
        learned.get_layer(site).epsilon.assign(0.5)
    frozen = freeze_activations(learned)
    assert frozen.count_params() == model.count_params()
    np.testing.assert_allclose(
        outputs_of(frozen, name), outputs_of(learned, name), rtol=1e-4, atol=1e-6
    )
    if name == "gpt2":
        texts = [generate(m, [[1, 2]], 4, greedy=True)[0].tolist() for m in (learned, frozen)]
        assert texts[0] == texts[1]


# What the others consist of, this one has as well.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "tnt" else [pytest.mark.once]) for name in BUILDERS],
)
def test_fisher_spectrum(name):
    model = BUILDERS[name]("crrelu")
    x = TOKENS if name == "gpt2" else IMAGES
    with pytest.warns(UserWarning, match="leaves out"):
        spectrum = fisher_spectrum(model, x, loss="softmax_crossentropy", seed=0)
    assert spectrum.valid
    dense = {
        layer.name
        for layer in model.layers
        if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D))
    }
    assert dense <= set(spectrum.layers)
    assert set(spectrum.uncovered) >= UNCOVERED[name]
    assert not dense & set(spectrum.uncovered)
    for layer in dense:
        assert np.isfinite(spectrum.log_eigenvalues(layer)).any()


@pytest.mark.once
@pytest.mark.parametrize("name", ["tnt", "gpt2"])  # images and tokens; all have spectra, as above
def test_activation_search(name, tmp_path):
    from keras_actfn.expressions import SearchSpace, parse
    from keras_actfn.search import ActivationSearch
    from keras_actfn.training import Task

    def build(activation):
        model = BUILDERS[name](activation)
        if name == "gpt2":  # its outputs are logits
            model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    x = np.linspace(-2, 2, 41)

    def closeness_to_tanh(text):
        return -float(np.abs(parse(text)(x) - np.tanh(x)).mean())

    inputs = TOKENS if name == "gpt2" else IMAGES
    found = ActivationSearch(
        Task(build, inputs, objective=closeness_to_tanh, mode="max"),
        SearchSpace(["mul(unary(x),unary(x))"], unary=["sigmoid", "tanh", "identity", "one"]),
        storage=tmp_path / "search.db",
        probes=10,
        from_scratch=True,
        baselines=("relu", "gelu"),
        embedding="pca",
    )
    best = found.run(evaluations=9)
    assert found.store.counts()["valid"] >= 9
    rows = found.table()
    assert len({row.candidate for row in rows}) == 9
    assert {row.expression for row in rows if row.baseline} == {"relu(x)", "gelu(x)"}
    assert best.value == max(closeness_to_tanh(row.expression) for row in rows) > -0.3
    assert np.isfinite(outputs_of(build(best.expression), name)).all()
