"""What all models of `finetuning` share: weights of samples, and files that go on."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import GPT2, DeiTTiny

from keras_actfn.finetuning import (
    DirectPreferenceOptimization,
    Distillation,
    SupervisedFineTuning,
)

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.random((8, 4, 4, 1), "float32"), RNG.integers(0, 3, 8)
TOKENS = {
    **{name: RNG.integers(0, 20, (8, 6)).astype("int32") for name in ("chosen", "rejected")},
    **{
        f"{name}_mask": np.arange(6) >= RNG.integers(2, 5, (8, 1))
        for name in ("chosen", "rejected")
    },
}
WEIGHTS = RNG.random(8, "float32") * 3


def student(heads):
    if heads == 2:
        return DeiTTiny("crrelu", (4, 4, 1), 3, width=12, depth=1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def gpt2(seed=0):
    model = GPT2("crrelu", input_shape=(8,), classes=20, width=8, depth=1, heads=2)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0.1, 0.3, w.shape).astype("float32") for w in model.weights])
    return model


def distillation(kind, heads):
    training = Distillation(student(heads), student(1), kind)
    training.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return training, IMAGES, LABELS


def supervised():
    training = SupervisedFineTuning(gpt2())
    training.compile("adam")
    return training, {k: v for k, v in TOKENS.items() if "chosen" in k}, None


def preference():
    training = DirectPreferenceOptimization(gpt2(0), gpt2(1), beta=0.5, label_smoothing=0.1)
    training.compile("adam")
    return training, TOKENS, None


TRAININGS = {
    "hard, one head": lambda: distillation("hard", 1),
    "soft, two heads": lambda: distillation("soft", 2),
    "supervised": supervised,
    "preference": preference,
}


#: The others' are as easily all trained by PyTorch, which compiles nothing: what they do with
#: weights of samples and with files is the same everywhere.
SOME = tuple(TRAININGS) if keras.backend.backend() == "torch" else ("hard, one head", "preference")


def rows(data, index):
    return None if data is None else keras.tree.map_structure(lambda a: a[index], data)


def loss(training, x, y, **options):
    return training.evaluate(x, y, batch_size=8, verbose=0, return_dict=True, **options)["loss"]


@pytest.mark.parametrize("name", SOME)
def test_the_loss_of_weighted_samples_is_the_sum_of_theirs(name):
    training, x, y = TRAININGS[name]()
    single = np.array([loss(training, rows(x, [i]), rows(y, [i])) for i in range(8)])
    shares = np.full(8, 1 / 8)
    if name == "supervised":  # the mean is over tokens
        tokens = x["chosen_mask"][:, 1:].sum(axis=1)
        shares = tokens / tokens.sum()
    assert loss(training, x, y) == pytest.approx(shares @ single, rel=1e-4)
    for weights in (WEIGHTS, WEIGHTS[:, None]):
        found = loss(training, x, y, sample_weight=weights)
        assert found == pytest.approx((WEIGHTS * shares) @ single, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in SOME if name != "hard, one head"])
def test_samples_of_no_weight_train_nothing(name):
    training, x, y = TRAININGS[name]()
    before = training.get_weights()
    training.fit(x, y, sample_weight=np.zeros((8, 1)), batch_size=8, verbose=0)
    for old, new in zip(before, training.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.once
def test_weights_count_in_validation_and_single_batches():
    training, x, _ = preference()
    expected = loss(training, x, None, sample_weight=WEIGHTS)
    found = training.test_on_batch(x, sample_weight=WEIGHTS, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    training.optimizer.learning_rate = 0.0
    found = training.fit(
        x, None, 8, 1, 0, validation_data=(x, None, WEIGHTS), sample_weight=WEIGHTS
    )
    for name in ("loss", "val_loss"):
        assert found.history[name][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("name", ["supervised", "preference"])
def test_weights_of_tokens_are_refused(name):
    training, x, y = TRAININGS[name]()
    with pytest.raises(ValueError, match=r"one weight per example.*Received: shape \(8, 6\)"):
        training.evaluate(x, y, sample_weight=np.ones((8, 6)), batch_size=8, verbose=0)


OPTIONS = {"batch_size": 4, "shuffle": False, "verbose": 0, "epochs": 2}


@pytest.fixture(scope="module", params=SOME)
def uninterrupted(request, tmp_path_factory):
    """A training's name, its weights at the start, itself at its end, its losses and files."""
    folder = tmp_path_factory.mktemp("files")
    training, x, y = TRAININGS[request.param]()
    start = training.get_weights()
    checkpoint = keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras")
    losses = training.fit(x, y, callbacks=[checkpoint], **OPTIONS).history["loss"]
    return request.param, start, training, losses, folder


def test_training_goes_on_from_a_checkpoint_as_if_never_interrupted(uninterrupted):
    name, _, training, losses, folder = uninterrupted
    _, x, y = TRAININGS[name]()
    loaded = keras.saving.load_model(folder / "1.keras")
    assert type(loaded) is type(training)
    assert len(loaded.trainable_variables) == len(training.trainable_variables)
    found = loaded.fit(x, y, initial_epoch=1, **OPTIONS).history["loss"]
    for a, b in zip(training.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)
    assert len(losses) == 2 and found == pytest.approx(losses[1:], rel=1e-6)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "uninterrupted",
    [SOME[0], *(pytest.param(name, marks=pytest.mark.once) for name in SOME[1:])],
    indirect=True,
)
def test_a_backup_brings_back_an_interrupted_training(uninterrupted, tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    name, start, whole, *_ = uninterrupted
    interrupted, x, y = TRAININGS[name]()
    interrupted.set_weights(start)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(Killed):
        interrupted.fit(x, y, callbacks=[backup, Kill()], **OPTIONS)
    resumed = TRAININGS[name]()[0]
    resumed.fit(x, y, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")], **OPTIONS)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)


@pytest.mark.once
def test_averaged_weights_are_swapped_for_evaluation_only():
    training, x, y = TRAININGS["preference"]()
    training.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    history = training.fit(
        x, y, batch_size=4, verbose=0, callbacks=[swap], validation_data=(x,)
    ).history
    assert np.isfinite(history["val_loss"][0])


@pytest.mark.once
def test_models_that_are_not_built_are_refused():
    with pytest.raises(ValueError, match="its models are built"):
        Distillation(student(1), keras.Sequential([keras.layers.Dense(3)]))
