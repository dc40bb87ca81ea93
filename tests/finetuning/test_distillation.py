"""Distillation: both losses by hand, with one head and two, and a teacher left alone."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import DeiTTiny
from reference.preference import log_softmax, soft_distillation

from keras_actfn.finetuning.distillation import Distillation, hard_loss, soft_loss

RNG = np.random.default_rng(0)
IMAGES = RNG.random((16, 4, 4, 1), "float32")
LABELS = RNG.integers(0, 3, 16)


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def teacher_model(activation="softmax"):
    """A teacher with batch normalisation, whose statistics must not move."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation, kernel_initializer=keras.initializers.Ones()),
        ]
    )


def deit(**arguments):
    return DeiTTiny("crrelu", (4, 4, 1), 3, width=12, depth=1, **arguments)


def test_losses_of_logits():
    student, teacher = RNG.normal(size=(2, 5, 4)).astype("float32") * 3
    for temperature in (1.0, 3.0):
        expected = [
            soft_distillation(s, t, temperature) for s, t in zip(student, teacher, strict=True)
        ]
        actual = to_numpy(
            soft_loss(*map(keras.ops.convert_to_tensor, (student, teacher)), temperature)
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    expected = [-log_softmax(s)[t.argmax()] for s, t in zip(student, teacher, strict=True)]
    actual = to_numpy(hard_loss(*map(keras.ops.convert_to_tensor, (student, teacher))))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_training_two_heads_beside_a_teacher(kind):
    student, teacher = deit(), teacher_model()
    teacher.layers[-1].set_weights(
        [RNG.normal(size=(16, 3)).astype("float32"), np.zeros(3, "float32")]
    )
    heads = keras.Model(
        student.input,
        [student.get_layer(f"{head}_head").output for head in ("class", "distillation")],
    )
    labelled, distilled = (log_softmax(to_numpy(z)) for z in heads(IMAGES))
    targets = np.log(to_numpy(teacher(IMAGES)))
    cross_entropy = -labelled[np.arange(16), LABELS].mean()
    if kind == "hard":
        expected = cross_entropy / 2 - distilled[np.arange(16), targets.argmax(1)].mean() / 2
    else:
        terms = [soft_distillation(s, t, 3.0) for s, t in zip(distilled, targets, strict=True)]
        expected = 0.9 * cross_entropy + 0.1 * np.mean(terms)

    before = teacher.get_weights(), student.get_weights()
    training = Distillation(student, teacher, kind)
    training.compile(
        keras.optimizers.Lion(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = training.fit(IMAGES, LABELS, batch_size=16, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-4)
    assert set(history) == {"loss", "accuracy"}
    for old, new in zip(before[0], teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert teacher.trainable
    moved = [np.abs(a - b).max() > 0 for a, b in zip(before[1], student.get_weights(), strict=True)]
    assert all(moved)


def test_one_head_and_logits():
    student = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    teacher = teacher_model(None)
    training = Distillation(
        student,
        teacher,
        "soft",
        weight=0.3,
        temperature=2.0,
        from_logits=True,
        teacher_from_logits=True,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile("sgd", loss, metrics=["accuracy"])
    z, targets = to_numpy(student(IMAGES)), to_numpy(teacher(IMAGES))
    cross_entropy = -log_softmax(z)[np.arange(16), LABELS].mean()
    terms = [soft_distillation(s, t, 2.0) for s, t in zip(z, targets, strict=True)]
    result = training.evaluate(IMAGES, LABELS, batch_size=16, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        result["loss"], 0.7 * cross_entropy + 0.3 * np.mean(terms), rtol=1e-4
    )
    np.testing.assert_allclose(result["accuracy"], (z.argmax(1) == LABELS).mean(), rtol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "warm"}, "Distillation is 'hard' or 'soft'. Received: kind='warm'"),
        ({"weight": 2}, r"weight is in 0 … 1. Received: weight=2"),
        ({"temperature": 0}, "temperature is positive. Received: temperature=0"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        Distillation(deit(), teacher_model(), **arguments)


@pytest.mark.once
def test_bad_teachers():
    student = deit()
    with pytest.raises(ValueError, match=r"shares no variables .* share"):
        Distillation(student, student)
    with pytest.raises(ValueError, match="a student with 3 and a teacher with 5 outputs"):
        Distillation(student, DeiTTiny("relu", (4, 4, 1), 5, width=12, depth=1))
