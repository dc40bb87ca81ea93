"""Losses with their options, masks and weights, against gradients of Keras's own training.

The reference trains one example with one label by SGD with learning rate 1, so that the weights
change by the gradient of the compiled loss, and sums outer products over examples and labels.
"""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, losses

from keras_actfn.fisher import exact_fisher, fisher_spectrum
from keras_actfn.fisher.distributions import DISTRIBUTIONS, Bernoulli, Categorical
from keras_actfn.fisher.losses import LOSSES

TOKENS = np.array([[1, 2], [3, 0]])
CLASSES, STEPS = 3, 2


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(model):
    generator = np.random.default_rng(7)
    for weight in model.trainable_variables:
        weight.assign(0.7 * generator.normal(size=weight.shape))
    return model


def sequence_model(end=None, mask=False, classes_first=False, outputs=CLASSES):
    parts = [
        layers.Input((STEPS,), dtype="int32"),
        layers.Embedding(4, 2, mask_zero=mask),
        layers.Dense(outputs),
    ]
    if classes_first:
        parts.append(layers.Permute((2, 1)))
    if end is not None:
        parts.append(end)
    return randomized(keras.Sequential(parts))


def gradient(model, x, y, **weights):
    before = [w.copy() for w in model.get_weights()]
    model.train_on_batch(x, y, **weights)
    after = model.get_weights()
    model.set_weights(before)
    return np.concatenate([(b - a).ravel() for a, b in zip(after, before, strict=True)])


def compiled(model, loss, **arguments):
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True, **arguments)
    return model


def empirical(model, x, y, **weights):
    rows = []
    for n in range(len(x)):
        own = {k: v[n : n + 1] if k == "sample_weight" else v for k, v in weights.items()}
        rows.append(gradient(model, x[n : n + 1], y[n : n + 1], **own))
    rows = np.array(rows, "float64")
    return rows.T @ rows / len(x)


def exact(model, x, probabilities, labels_of, **weights):
    """The sum over all labels of all positions; `labels_of` makes y from class numbers (1, T)."""
    total = 0.0
    for n in range(len(x)):
        own = {k: v[n : n + 1] if k == "sample_weight" else v for k, v in weights.items()}
        p = probabilities[n].reshape(-1, probabilities.shape[-1])
        for labels in itertools.product(range(p.shape[-1]), repeat=len(p)):
            chance = np.prod([p[t, c] for t, c in enumerate(labels)])
            g = gradient(model, x[n : n + 1], labels_of(np.array([labels])), **own).astype(float)
            total = total + chance * np.outer(g, g)
    return total / len(x)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def one_hot(labels):
    return np.eye(CLASSES, dtype="float32")[labels]


SPARSE = losses.SparseCategoricalCrossentropy
CATEGORICAL = losses.CategoricalCrossentropy
# name: loss, how labels are written, arguments of the model, class axis
SOFTMAX = {
    "plain": (lambda: SPARSE(from_logits=True, reduction="sum"), None, {}),
    "probabilities": (lambda: SPARSE(reduction="sum"), None, {"end": "softmax"}),
    "ignored class": (
        lambda: SPARSE(from_logits=True, ignore_class=0, reduction="sum"),
        None,
        {},
    ),
    "smoothing": (
        lambda: CATEGORICAL(from_logits=True, label_smoothing=0.2, reduction="sum"),
        one_hot,
        {},
    ),
    "smoothing of probabilities": (
        lambda: CATEGORICAL(label_smoothing=0.3, reduction="sum"),
        one_hot,
        {"end": "softmax"},
    ),
    "axis": (
        lambda: SPARSE(from_logits=True, axis=1, reduction="sum"),
        None,
        {"classes_first": True},
    ),
    "axis of probabilities": (
        lambda: SPARSE(axis=1, reduction="sum"),
        None,
        {"classes_first": True, "end": "softmax"},
    ),
    "mask": (lambda: SPARSE(from_logits=True, reduction="sum"), None, {"mask": True}),
    "mask and smoothing": (
        lambda: CATEGORICAL(from_logits=True, label_smoothing=0.2, reduction="sum"),
        one_hot,
        {"mask": True},
    ),
}


def softmax_case(name):
    loss, write, arguments = SOFTMAX[name]
    arguments = dict(arguments)
    first = arguments.get("classes_first", False)
    if "end" in arguments:
        arguments["end"] = layers.Softmax(axis=1 if first else -1)
    model = compiled(sequence_model(**arguments), loss())
    output = keras.ops.convert_to_numpy(model(TOKENS)).astype("float64")
    output = np.moveaxis(output, 1, -1) if first else output
    p = output if "end" in arguments else softmax(output)
    return model, p, write or (lambda labels: labels)


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_losses(name):
    model, p, write = softmax_case(name)
    y = write(np.array([[0, 2], [1, 0]]))
    trained = model
    if "axis" in name and keras.backend.backend() != "torch":
        # There Keras has class numbers on the last axis only: the same with the axis moved.
        trained = compiled(sequence_model(), SPARSE(from_logits=True, reduction="sum"))
        trained.set_weights(model.get_weights())
    close(exact_fisher(model, TOKENS, y, mode="empirical").matrix, empirical(trained, TOKENS, y))
    close(exact_fisher(model, TOKENS).matrix, exact(trained, TOKENS, p, write))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("end", [None, "sigmoid"])
def test_sigmoid_losses(smoothing, end):
    end = layers.Activation("sigmoid") if end else None
    model = sequence_model(end, outputs=1)
    loss = losses.BinaryCrossentropy(
        from_logits=end is None, label_smoothing=smoothing, reduction="sum"
    )
    compiled(model, loss)
    y = np.array([[[1], [0]], [[1], [1]]])
    close(exact_fisher(model, TOKENS, y, mode="empirical").matrix, empirical(model, TOKENS, y))
    z = keras.ops.convert_to_numpy(model(TOKENS)).astype("float64")
    p = z if end else 1 / (1 + np.exp(-z))
    p = np.concatenate([1 - p, p], axis=-1)
    close(exact_fisher(model, TOKENS).matrix, exact(model, TOKENS, p, lambda y: y[..., None]))


@pytest.mark.parametrize("mask", [False, True])
def test_several_sigmoids_and_the_squared_error(mask):
    y = np.array([[[1, 0, 1], [0, 0, 1]], [[1, 1, 0], [0, 1, 0]]], "float32")
    for loss, factor in (
        (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1, reduction="sum"), 3),
        (losses.MeanSquaredError(reduction="sum"), 3 / 2),
    ):
        model = compiled(sequence_model(mask=mask), loss)
        # Keras averages over the outputs, and its squared error has no half.
        expected = factor**2 * empirical(model, TOKENS, y)
        close(exact_fisher(model, TOKENS, y, mode="empirical").matrix, expected)


@pytest.mark.parametrize("weights", ["loss", "examples", "positions", "classes", "all"])
def test_weights(weights):
    sample = np.array([[0.5, 2.0], [3.0, 0.0]], "float32")
    if weights == "examples":
        sample = np.array([[0.5], [3.0]], "float32")
    model = sequence_model(mask=weights == "all")
    arguments = {"loss_weights": [0.5]} if weights in ("loss", "all") else {}
    compiled(model, [SPARSE(from_logits=True, reduction="sum")], **arguments)
    options = {}
    if weights in ("examples", "positions", "all"):
        options["sample_weight"] = sample
    y = np.array([[0, 2], [1, 0]])
    expected = dict(options)
    if weights in ("classes", "all"):
        # Keras weighs examples by their class; sequences have one class for each position.
        options["class_weight"] = {0: 0.5, 2: 3.0}
        table = np.array([0.5, 1.0, 3.0], "float32")
        base = options.get("sample_weight", np.ones((2, 2), "float32"))
        expected["sample_weight"] = base * table[y]
    found = exact_fisher(model, TOKENS, y, mode="empirical", **options)
    close(found.matrix, empirical(model, TOKENS, y, **expected))


def test_class_weights_of_one_label_an_example():
    model = randomized(keras.Sequential([layers.Input((4,)), layers.Dense(CLASSES, "softmax")]))
    compiled(model, SPARSE(reduction="sum"))
    x, y, weights = draw(3, 4), np.array([0, 2, 1]), {0: 0.5, 2: 3.0}
    p = keras.ops.convert_to_numpy(model(x)).astype("float64")[:, None]
    found = exact_fisher(model, x, y, mode="empirical", class_weight=weights).matrix
    close(found, empirical(model, x, y, class_weight=weights))
    expected = exact(model, x, p, lambda labels: labels[:, 0], class_weight=weights)
    close(exact_fisher(model, x, class_weight=weights).matrix, expected)
    binary = randomized(keras.Sequential([layers.Input((4,)), layers.Dense(1, "sigmoid")]))
    compiled(binary, losses.BinaryCrossentropy(reduction="sum"))
    p = keras.ops.convert_to_numpy(binary(x)).astype("float64")
    p = np.concatenate([1 - p, p], axis=-1)[:, None]
    weights = {0: 0.5, 1: 3.0}
    expected = exact(binary, x, p, lambda labels: labels, class_weight=weights)
    close(exact_fisher(binary, x, class_weight=weights).matrix, expected)


def test_ignored_labels_that_are_no_class():
    for ignored in (-1, 255):
        model = sequence_model()
        compiled(model, SPARSE(from_logits=True, ignore_class=ignored, reduction="sum"))
        y = np.array([[0, ignored], [ignored, 2]])
        found = exact_fisher(model, TOKENS, y, mode="empirical").matrix
        close(found, empirical(model, TOKENS, y))
        plain = exact_fisher(model, TOKENS, loss="softmax_crossentropy").matrix
        close(exact_fisher(model, TOKENS).matrix, plain)


CASES = {
    "ignored class": SPARSE(from_logits=True, ignore_class=0),
    "smoothing": CATEGORICAL(from_logits=True, label_smoothing=0.2),
}


@pytest.mark.parametrize("mode", ["exact", "sampled", "empirical", "ggn"])
@pytest.mark.parametrize("loss", CASES)
def test_spectra_use_the_same_losses(loss, mode):
    # One example with one location, where Kronecker blocks are exact.
    model = randomized(keras.Sequential([layers.Input((4,)), layers.Dense(CLASSES)]))
    model.compile(loss=CASES[loss], loss_weights=0.5)
    arguments = {"mode": mode, "seed": 1, "sample_weight": np.array([1.5])}
    arguments |= {"class_weight": {1: 2.0}} if mode != "ggn" else {}
    x, y = draw(1, 4), np.array([2]) if loss == "ignored class" else one_hot([2])
    spectrum = fisher_spectrum(model, x, y, **arguments)
    expected = np.linalg.eigvalsh(exact_fisher(model, x, y, **arguments).matrix)
    (pair,) = spectrum[0].pairs
    close(np.sort(np.outer(*pair).ravel()), expected)
    assert spectrum.settings["options"]["scale"] == 0.5


def test_batches_of_masked_and_weighted_examples_add_up():
    model = compiled(sequence_model(mask=True), SPARSE(from_logits=True))
    weights = np.array([0.5, 3.0])
    whole = fisher_spectrum(model, TOKENS, sample_weight=weights)
    parts = fisher_spectrum(model, TOKENS, sample_weight=weights, batch_size=1)
    for a, b in zip(whole.blocks, parts.blocks, strict=True):
        np.testing.assert_allclose(a.summary()["trace"], b.summary()["trace"], rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "none", None])
def test_the_reduction_does_not_enter(reduction):
    model, y = sequence_model(mask=True), np.array([[0, 2], [1, 0]])
    traces = [
        fisher_spectrum(
            model,
            TOKENS,
            y,
            mode="empirical",
            loss=SPARSE(from_logits=True, reduction=kind),
        ).summary()["trace"]
        for kind in ("sum", reduction)
    ]
    assert traces[0] == traces[1] > 0


@pytest.mark.once
@pytest.mark.parametrize(
    "kind, options",
    [
        (Categorical, {"label_smoothing": 0.2}),
        (Categorical, {"ignore_class": 1}),
        (Categorical, {"class_weight": {0: 2.0}}),
        (Bernoulli, {"label_smoothing": 0.2}),
        (Bernoulli, {"class_weight": {0: 2.0}}),
    ],
)
def test_ggn_is_the_mean_hessian(kind, options):
    classes = 3 if kind is Categorical else 1
    distribution, z = kind(**options), draw(1, classes).astype("float64")
    mean = distribution.mean(z)
    p = mean[0] if classes == 3 else np.array([1 - mean[0, 0], mean[0, 0]])
    expected = np.zeros((classes, classes))
    for label, chance in enumerate(p):
        y = distribution.labels(np.array([label]), z.shape)
        for k, shift in enumerate(1e-5 * np.eye(classes)):
            ends = (distribution.gradient(distribution.mean(z + s * shift), y) for s in (1, -1))
            up, down = ends
            expected[k] += chance * (up - down)[0] / 2e-5
    columns = distribution.cotangents(z, "ggn")[:, 0]
    np.testing.assert_allclose(columns.T @ columns, expected, atol=1e-8)


#: The test of each distribution against Keras's own training.
TESTED = {
    "softmax_crossentropy": test_softmax_losses,
    "sigmoid_crossentropy": test_sigmoid_losses,
    "squared_error": test_several_sigmoids_and_the_squared_error,
}


@pytest.mark.once
def test_every_distribution_has_a_case_and_a_loss_of_keras():
    assert set(TESTED) == set(LOSSES.values()) == set(DISTRIBUTIONS)


@pytest.mark.once
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sampled_gradients_have_the_exact_second_moment(name):
    # Two positions, so that a mean gradient that is not zero couples them.
    options = {
        "softmax_crossentropy": {"label_smoothing": 0.3, "class_weight": {0: 2.0}},
        "sigmoid_crossentropy": {"label_smoothing": 0.3},
    }
    distribution = DISTRIBUTIONS[name](**options.get(name, {}), scale=0.5)
    z, weights = np.tile(draw(1, 2, 3), (40000, 1, 1)), np.tile([[1.0, 2.0]], (40000, 1))
    drawn = distribution.cotangents(z, "sampled", seed=0, weights=weights)[0].reshape(-1, 6)
    columns = distribution.cotangents(z[:1], "exact", weights=weights[:1]).reshape(-1, 6)
    found, expected = drawn.T @ drawn / len(drawn), columns.T @ columns
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


class Own(SPARSE):
    def call(self, y_true, y_pred):
        return 2 * super().call(y_true, y_pred)


def mean_squared_error(y_true, y_pred):
    return keras.ops.sum(keras.ops.abs(y_true - y_pred), axis=-1)


class OwnLoss(keras.Sequential):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


REFUSED = {
    "focal": (losses.BinaryFocalCrossentropy(), "for the loss 'BinaryFocalCrossentropy'"),
    "focal classes": (losses.CategoricalFocalCrossentropy(), "'CategoricalFocalCrossentropy'"),
    "divergence": ("kl_divergence", "for the loss 'kl_divergence'"),
    "unknown name": ("categorical_crossentropi", "Did you mean 'categorical_crossentropy'"),
    "name of Keras": ("crossentropy", "for the loss 'crossentropy'"),
    "subclass": (Own(from_logits=True), "for the loss 'Own'"),
    "own function": (mean_squared_error, "for the loss 'mean_squared_error'"),
    "axis": (SPARSE(from_logits=True, axis=3), "axes 1 to 2.*Received: axis=3"),
    "axis of the batch": (SPARSE(from_logits=True, axis=0), "axes 1 to 2.*Received: axis=0"),
    "smoothing on an axis": (
        CATEGORICAL(from_logits=True, axis=1, label_smoothing=0.1),
        "classes on the last axis.*axis=1",
    ),
}


@pytest.mark.once
@pytest.mark.parametrize("name", REFUSED)
def test_other_losses_are_refused(name):
    loss, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        fisher_spectrum(sequence_model(), TOKENS, loss=loss)


@pytest.mark.once
def test_options_that_are_not_known_are_refused():
    loss = losses.BinaryCrossentropy()
    loss._fn_kwargs["temperature"] = 2.0
    with pytest.raises(ValueError, match=r"honours are from_logits.*Received: temperature"):
        fisher_spectrum(sequence_model(), TOKENS, loss=loss)


@pytest.mark.once
def test_ends_on_which_backends_disagree_are_refused():
    model = sequence_model(layers.Softmax())
    with pytest.raises(ValueError, match="from_logits=True, but the model ends in a softmax"):
        fisher_spectrum(model, TOKENS, loss=SPARSE(from_logits=True))
    with pytest.raises(ValueError, match="does not fit the model's last activation, a softmax"):
        fisher_spectrum(model, TOKENS, loss="binary_crossentropy")
    with pytest.raises(ValueError, match="does not fit the model's last activation, a softmax"):
        fisher_spectrum(model, TOKENS, loss=SPARSE(axis=1))


@pytest.mark.once
def test_models_that_compute_their_own_loss_are_refused():
    model = OwnLoss([layers.Input((4,)), layers.Dense(3)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"class OwnLoss computes its own loss.*Pass loss="):
        fisher_spectrum(model, draw(2, 4))
    assert fisher_spectrum(model, draw(2, 4), loss="mse").valid


@pytest.mark.once
@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(sample_weight=np.ones(3)), "the same number of examples"),
        (
            dict(sample_weight=np.ones((2, 3))),
            r"shape \(2,\).*or \(2, 2\).*Received: shape \(2, 3\)",
        ),
        (dict(sample_weight=np.array([1.0, -1.0])), "finite and not negative.*from -1"),
        (dict(class_weight={3: 1.0}), "classes 0 to 2 as keys. Received: 3"),
        (dict(class_weight={0: -1.0}), "not negative. Received: -1.0 for class 0"),
        (dict(class_weight={0: 1.0}, loss="mse"), "needs a loss with classes"),
        (dict(class_weight={0: 1.0}, loss="binary_crossentropy"), "Received: a loss of 3 sigmoids"),
        (dict(y=np.zeros((2, 3, 2)), mode="empirical"), r"received an array of shape \(2, 3, 2\)"),
        (dict(y=np.full((2, 2), np.nan), mode="empirical"), "whole numbers from 0 to 2"),
        (dict(y=np.full((2, 2, 3), np.nan), mode="empirical"), "must lie from 0 to 1"),
    ],
)
def test_weights_and_labels_that_do_not_fit_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        arguments = {"loss": "softmax_crossentropy"} | arguments
        model = sequence_model()
        if arguments["loss"] == "binary_crossentropy":
            arguments["loss"] = losses.BinaryCrossentropy(from_logits=True)
        fisher_spectrum(model, TOKENS, **arguments)


@pytest.mark.once
def test_a_loss_weight_that_is_negative_is_refused():
    model = sequence_model()
    model.compile(loss=SPARSE(from_logits=True), loss_weights=-1.0)
    with pytest.raises(ValueError, match=r"not negative. Received: loss_weights=-1.0"):
        fisher_spectrum(model, TOKENS)


class Total(layers.Layer):
    supports_masking = True

    def call(self, x):
        return keras.ops.sum(x, axis=1)


def test_a_mask_that_does_not_fit_the_output_is_refused():
    model = keras.Sequential(
        [
            layers.Input((STEPS,), dtype="int32"),
            layers.Embedding(4, 2, mask_zero=True),
            layers.Dense(3),
            Total(),
        ]
    )
    with pytest.raises(ValueError, match=r"Received: a mask of shape \(2, 2\)"):
        fisher_spectrum(model, TOKENS, loss="softmax_crossentropy")


def test_labels_do_not_matter_where_weights_are_zero():
    model = compiled(sequence_model(), SPARSE(from_logits=True))
    weights, traces = np.array([[1.0, 1.0], [1.0, 0.0]]), []
    for last in (0, -100):
        y = np.array([[0, 2], [1, last]])
        spectrum = fisher_spectrum(model, TOKENS, y, mode="empirical", sample_weight=weights)
        traces.append(spectrum.summary()["trace"])
    assert traces[0] == traces[1] > 0
