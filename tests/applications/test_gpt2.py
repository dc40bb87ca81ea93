"""GPT-2: count, computation, cached generation, Keras Hub's weights and tokeniser."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import GPT2, HubTokenizer, generate, gpt2_from_preset
from keras_actfn.applications.gpt2_generation import CachedDecoder, candidates
from reference.transformers import gpt2, weights_of

SMALL = {"input_shape": (16,), "classes": 50, "width": 12, "depth": 2, "heads": 3}
TOKENS = np.random.default_rng(0).integers(0, 50, (3, 10)).astype("int32")


@pytest.fixture(scope="module")
def model():
    """A small GPT-2 whose weights all matter, far from their initial values."""
    model = GPT2("gelu", **SMALL)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0.1, 0.4, w.shape).astype("float32") for w in model.weights])
    return model


def logits_of(model, tokens):
    return keras.ops.convert_to_numpy(model(np.asarray(tokens, "int32")))


@pytest.mark.once
def test_parameters():
    with keras.StatelessScope(initialize_variables=False):
        model = GPT2("crrelu")
    assert sum(int(np.prod(w.shape)) for w in model.weights) == 124_439_808 + 12
    sites = [layer for layer in model.layers if layer.name.startswith("activation_")]
    assert len({id(layer) for layer in sites}) == 12


def test_computes_the_reference(model):
    expected = gpt2(weights_of(model), TOKENS, depth=2, heads=3)
    np.testing.assert_allclose(logits_of(model, TOKENS), expected, rtol=1e-4, atol=1e-4)


def test_no_token_sees_those_after_it(model):
    changed = TOKENS.copy()
    changed[:, 6:] = (changed[:, 6:] + 1) % 50
    before, after = logits_of(model, TOKENS), logits_of(model, changed)
    np.testing.assert_allclose(after[:, :6], before[:, :6], rtol=1e-5, atol=1e-5)
    assert np.abs(after[:, 6:] - before[:, 6:]).max() > 0.1


def test_a_step_trains_and_the_file_keeps_the_outputs(tmp_path):
    model = GPT2("crrelu", dropout=0.1, **SMALL)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Lion(1e-3), loss)
    model.fit(TOKENS[:, :-1], TOKENS[:, 1:], verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(variable) - old).max() > 0, variable.path
    model.save(tmp_path / "gpt2.keras")
    loaded = keras.saving.load_model(tmp_path / "gpt2.keras")
    np.testing.assert_allclose(logits_of(loaded, TOKENS), logits_of(model, TOKENS), atol=1e-6)


def test_cached_logits_equal_uncached_ones(model):
    decoder = CachedDecoder(model, batch=3)
    pieces = [decoder(TOKENS[:, a:b]) for a, b in ((0, 4), (4, 5), (5, 6), (6, 10))]
    np.testing.assert_allclose(
        np.concatenate(pieces, axis=1), logits_of(model, TOKENS), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ValueError, match=r"context has 16 tokens. Received: 7 tokens after 10"):
        decoder(TOKENS[:, :7])


def test_greedy_texts_are_those_without_a_cache(model):
    prompts = [[1, 2, 3], [4]]
    texts = generate(model, prompts, 5, greedy=True)
    for prompt, text in zip(prompts, texts, strict=True):
        expected = list(prompt)
        for _ in range(5):
            padded = expected + [0] * (16 - len(expected))
            expected.append(int(logits_of(model, [padded])[0, len(expected) - 1].argmax()))
        assert text.tolist() == expected


@pytest.mark.once
def test_a_text_ends_with_its_end_token(model):
    text = generate(model, [[1, 2, 3]], 5, greedy=True)[0]
    end = int(text[4])
    first = text.tolist().index(end, 3)
    assert generate(model, [[1, 2, 3]], 5, greedy=True, end_token=end)[0].tolist() == (
        text[: first + 1].tolist()
    )


@pytest.mark.once
def test_draws_depend_on_the_seed_and_stay_among_the_candidates(model):
    draws = [generate(model, [[1, 2]] * 8, 1, top_k=3, temperature=9.0, seed=s) for s in (0, 0, 1)]
    tokens = [[int(text[-1]) for text in draw] for draw in draws]
    assert tokens[0] == tokens[1] != tokens[2]
    likeliest = np.argsort(logits_of(model, [[1, 2]])[0, -1])[-3:]
    assert set(tokens[0]) <= set(likeliest.tolist())


@pytest.mark.once
def test_candidates_by_hand():
    logits = np.log([[0.1, 0.5, 0.15, 0.25]])
    np.testing.assert_allclose(candidates(logits), [[0.1, 0.5, 0.15, 0.25]])
    np.testing.assert_allclose(candidates(logits, top_k=2), [[0, 2 / 3, 0, 1 / 3]])
    np.testing.assert_allclose(candidates(logits, top_p=0.5), [[0, 1, 0, 0]])
    np.testing.assert_allclose(candidates(logits, top_p=0.6), [[0, 2 / 3, 0, 1 / 3]])
    np.testing.assert_allclose(candidates(logits, top_k=2, top_p=0.7), [[0, 2 / 3, 0, 1 / 3]])


@pytest.fixture(scope="module")
def backbone():
    """Keras Hub's GPT-2 with random weights."""
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=50,
        num_layers=2,
        num_heads=3,
        hidden_dim=12,
        intermediate_dim=24,
        max_sequence_length=16,
        dropout=0.0,
    )
    rng = np.random.default_rng(2)
    for weight in backbone.weights:
        weight.assign(rng.normal(0.1, 0.4, weight.shape))
    return backbone


@pytest.mark.once  # the same weights, which `test_computes_the_reference` computes with everywhere
def test_logits_of_a_keras_hub_preset(backbone, tmp_path):
    inputs = {"token_ids": TOKENS, "padding_mask": np.ones_like(TOKENS)}
    expected = backbone.token_embedding(backbone(inputs), reverse=True)
    expected = keras.ops.convert_to_numpy(expected)
    assert np.abs(expected).max() > 1
    backbone.save_to_preset(str(tmp_path / "preset"))
    for source in (backbone, str(tmp_path / "preset")):
        actual = logits_of(gpt2_from_preset(source), TOKENS)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    learned = gpt2_from_preset(backbone, activation="crrelu")
    assert learned.count_params() == backbone.count_params() + 2


@pytest.mark.once
def test_preset_of_another_architecture(tmp_path):
    import keras_hub

    other = keras_hub.models.BertBackbone(50, 1, 2, 8, 32, max_sequence_length=16)
    with pytest.raises(ValueError, match=r"GPT2Backbone.*Received: a BertBackbone"):
        gpt2_from_preset(other)
    other.save_to_preset(str(tmp_path / "bert"))
    with pytest.raises(ValueError, match=r"GPT2Backbone.*Received: the preset .*BertBackbone"):
        gpt2_from_preset(str(tmp_path / "bert"))


@pytest.mark.once
def test_tokenizer_of_keras_hub():
    import keras_hub

    merges = ["Ġ q", "u i", "c k", "ui ck", "Ġq uick", "Ġ f", "o x", "Ġf ox"]
    pieces = ["<|endoftext|>", *sorted(set("aĠquickfox")), *(m.replace(" ", "") for m in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = HubTokenizer(keras_hub.tokenizers.GPT2Tokenizer(vocabulary, merges))
    tokens = tokenizer.encode("a quick fox")
    assert tokens == [vocabulary["a"], vocabulary["Ġquick"], vocabulary["Ġfox"]]
    assert tokenizer.decode(tokens) == "a quick fox"
    assert (tokenizer.end, tokenizer.size) == (0, len(vocabulary))


@pytest.mark.once
@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: m(np.zeros((1, 17), "int32")), r"at most 16 tokens. Received: 17 tokens"),
        (
            lambda m: generate(m, [[1] * 10], 7),
            "context of 16 .*a prompt of 10 tokens and length=7",
        ),
        (lambda m: generate(m, [[]], 2), "at least one token each"),
        (lambda m: generate(m, [], 2), "at least one token each"),
        (lambda m: generate(m, [[50]], 2), r"0 … 49. Received: \[50\]"),
        (lambda m: generate(m, [[1]], 0), "length is a positive integer"),
        (lambda m: generate(m, [[1]], 2, temperature=0), r"temperature is positive.*greedy=True"),
        (lambda m: generate(m, [[1]], 2, top_k=0), "top_k is a positive integer"),
        (lambda m: generate(m, [[1]], 2, top_p=1.5), "top_p is above 0 and at most 1"),
        (lambda m: GPT2(input_shape=(8, 8)), r"input_shape is \(context,\)"),
        (lambda m: GPT2(width=10, heads=3), "heads divide the width evenly"),
    ],
)
def test_bad_arguments(model, call, match):
    with pytest.raises(ValueError, match=match):
        call(model)


@pytest.mark.once
def test_generate_needs_a_gpt2():
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"layers of keras_actfn.applications.GPT2.*lacks"):
        generate(other, [[1]], 2)
