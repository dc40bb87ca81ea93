r"""Training a student with a teacher's help (Touvron et al., Training Data-Efficient Image
Transformers & Distillation through Attention, section 4).

With student logits $Z_s$, teacher logits $Z_t$, labels y and softmax ψ:

$$\text{soft (eq. 2): } (1 - \lambda)\, L_{CE}(\psi(Z_s), y)
+ \lambda \tau^2\, KL(\psi(Z_t/\tau) \,\|\, \psi(Z_s/\tau))$$
$$\text{hard (eq. 3): } (1 - \lambda)\, L_{CE}(\psi(Z_s), y)
+ \lambda\, L_{CE}(\psi(Z_s), \arg\max_c Z_t(c))$$

with λ = 1/2 in the paper's hard loss, λ = 0.1 and τ = 3 in its soft one. Where the student
has two heads, as `DeiTTiny`, the labels go to the class head, the teacher to the other.
"""

from typing import Any

import keras
from keras import ops

from .base import TrainsOneModel, example_weights

#: The paper's λ and τ by kind of distillation (section 4 and Table 9).
DEFAULTS = {"hard": (0.5, 1.0), "soft": (0.1, 3.0)}


@keras.saving.register_keras_serializable(package="keras_actfn")
class Distillation(TrainsOneModel):
    """Trains `student` on labels and on the outputs of `teacher`.

    Compile it with the loss and the metrics that the student alone would get, and fit it on
    images and labels; then use `student`. The loss compares the labels with the class head
    (the output of a student with one head), the metrics with the student's output. Weights of
    samples multiply both terms of the loss. A `.keras` file of this model, such as
    `ModelCheckpoint` writes, holds student and teacher and goes on where it was.

    Args:
        student: The model to train. If it has layers named `"class_head"` and
            `"distillation_head"`, which give logits, and `"predictions"`, as `DeiTTiny`,
            each head has its own target.
        teacher: Any Keras model of the same inputs and classes; it does not change.
        kind: `"hard"` or `"soft"`.
        weight: λ above; the paper's if None.
        temperature: τ above; the paper's if None. The hard loss has none.
        from_logits: Whether a student with one head gives logits, not probabilities.
        teacher_from_logits: Whether the teacher gives logits, not probabilities.
        **kwargs: `keras.Model`'s.

    Raises:
        ValueError: If an argument is out of range, or the numbers of classes differ.

    Example:
    ```python
    from keras_actfn.applications import DeiTTiny

    student = DeiTTiny("crrelu", input_shape=(8, 8, 1), patch_size=4, width=48, depth=1)
    training = Distillation(student, teacher=model, kind="hard")
    training.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    training.fit(x, y)
    training.student.save("deit.keras")
    ```
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        kind: str = "hard",
        *,
        weight: float | None = None,
        temperature: float | None = None,
        from_logits: bool = False,
        teacher_from_logits: bool = False,
        **kwargs: Any,
    ):
        super().__init__(student, teacher, **kwargs)
        if kind not in DEFAULTS:
            raise ValueError(f"Distillation is 'hard' or 'soft'. Received: kind={kind!r}.")
        default_weight, default_temperature = DEFAULTS[kind]
        self.weight = default_weight if weight is None else float(weight)
        self.temperature = default_temperature if temperature is None else float(temperature)
        if not 0 <= self.weight <= 1:
            raise ValueError(f"The teacher's weight is in 0 … 1. Received: weight={weight!r}.")
        if not self.temperature > 0:
            raise ValueError(f"temperature is positive. Received: temperature={temperature!r}.")
        if student.output_shape[-1] != teacher.output_shape[-1]:
            raise ValueError(
                "Student and teacher have the same classes. Received: a student with "
                f"{student.output_shape[-1]} and a teacher with {teacher.output_shape[-1]} outputs."
            )
        self.kind = kind
        self.student = student
        self.teacher = teacher
        self.from_logits = from_logits
        self.teacher_from_logits = teacher_from_logits
        self._heads = _heads(student)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """A dict of the student's `"output"`, and of what the labels and the teacher see."""
        if self._heads is None:
            output = self.student(images, training=training)
            scores = _log_probabilities(output, self.from_logits)
            return {"output": output, "labelled": output, "distilled": scores}
        output, labelled, logits = self._heads(images, training=training)
        return {"output": output, "labelled": labelled, "distilled": ops.log_softmax(logits)}

    def compute_loss(
        self,
        x: Any,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        training: bool | None = True,
        **kwargs: Any,
    ) -> Any:
        """The formula above; layers' own losses are added once."""
        teacher = _log_probabilities(self.teacher(x, training=False), self.teacher_from_logits)
        teacher = ops.stop_gradient(ops.cast(teacher, y_pred["distilled"].dtype))
        function = hard_loss if self.kind == "hard" else soft_loss
        distilled = function(y_pred["distilled"], teacher, self.temperature)
        if sample_weight is not None:
            sample_weight = example_weights(sample_weight, distilled)
            distilled = distilled * sample_weight
        labelled = super().compute_loss(
            x=x, y=y, y_pred=y_pred["labelled"], sample_weight=sample_weight, training=training
        )
        loss = (1 - self.weight) * labelled + self.weight * ops.mean(distilled)
        return loss + self.weight * sum(self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The compiled metrics of the student's output."""
        return super().compute_metrics(x, y, y_pred["output"], sample_weight)


def soft_loss(student: Any, teacher: Any, temperature: float) -> Any:
    """τ² KL(teacher‖student) of the distributions at temperature τ, one for each example.

    Args:
        student: Logits (or log-probabilities, the same up to a constant), `[batch, classes]`.
        teacher: The same.
        temperature: τ.
    """
    student = ops.log_softmax(student / temperature)
    teacher = ops.log_softmax(teacher / temperature)
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def hard_loss(student: Any, teacher: Any, temperature: float = 1.0) -> Any:
    """Cross entropy of the class that the teacher holds likeliest, one for each example.

    Args:
        student: Logits or log-probabilities, `[batch, classes]`.
        teacher: The same.
        temperature: Not used; the likeliest class does not depend on it.
    """
    classes = ops.argmax(teacher, axis=-1)[:, None]
    return -ops.take_along_axis(ops.log_softmax(student), classes, axis=-1)[:, 0]


def _log_probabilities(output, from_logits):
    """Logits up to a constant: log ψ(z) has the same softmax at every temperature."""
    if from_logits:
        return ops.log_softmax(output)
    return ops.log(ops.maximum(output, keras.config.epsilon()))


def _heads(student):
    """A model of the output, the class head's prediction and the other's logits, or None."""
    layers = {layer.name: layer for layer in student.layers}
    if not {"class_head", "distillation_head", "predictions"} <= set(layers):
        return None
    labelled = layers["predictions"](layers["class_head"].output)
    logits = layers["distillation_head"].output
    return keras.Model(student.input, [student.output, labelled, logits])
