r"""Supervised fine-tuning and direct preference optimisation of language models.

For a prompt x, a chosen answer $y_w$ and a rejected one $y_l$, a policy π to train and a
frozen reference $\pi_0$, the implicit reward of an answer is

$$r(x, y) = \beta\, (\log \pi(y|x) - \log \pi_0(y|x)),$$

and the loss of the pair, with margin $m = r(x, y_w) - r(x, y_l)$ and label smoothing ε, is

$$L = -(1 - ε) \log σ(m) - ε \log σ(-m).$$

Sources: Rafailov et al., Direct Preference Optimization, eqs. 5 and 7 (ε = 0); Mitchell, A
Note on DPO with Noisy Preferences (ε > 0). log π(y|x) is the sum over the answer's tokens.

The data is a dict of arrays `[pairs, tokens]`, as `preference_data.encode` makes it: token
numbers `"chosen"` and `"rejected"`, each prompt and answer and padded at the end, and
`"chosen_mask"` and `"rejected_mask"`, true for the answers' tokens.
"""

from typing import Any

import keras
from keras import ops

from .base import TunesLanguageModel, example_weights


def token_log_probabilities(logits: Any, tokens: Any) -> Any:
    """Values log π(token | tokens before) for all tokens but the first, in float32 at least.

    Args:
        logits: `[batch, tokens - 1, vocabulary]`, of the token after each one.
        tokens: `[batch, tokens]`.

    Returns:
        `[batch, tokens - 1]`.
    """
    logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
    own = ops.take_along_axis(logits, ops.cast(tokens[:, 1:, None], "int32"), axis=-1)[..., 0]
    return own - ops.logsumexp(logits, axis=-1)


def answer_log_probabilities(
    model: keras.Model, tokens: Any, mask: Any, training: bool | None = False
) -> Any:
    """Values log π(y|x), one for each sequence.

    Args:
        model: A model from token numbers to logits of the next token.
        tokens: `[batch, tokens]`.
        mask: `[batch, tokens]`, true for the tokens of y; the first column is not read.
        training: Whether dropout is on.

    Returns:
        `[batch]`.
    """
    values = token_log_probabilities(model(tokens[:, :-1], training=training), tokens)
    return ops.sum(values * ops.cast(mask[:, 1:], values.dtype), axis=-1)


def dpo_loss(margin: Any, label_smoothing: float = 0.0) -> Any:
    """The loss above of margins `[batch]`, one for each pair."""
    agree, disagree = ops.log_sigmoid(margin), ops.log_sigmoid(-margin)
    return -(1 - label_smoothing) * agree - label_smoothing * disagree


@keras.saving.register_keras_serializable(package="keras_actfn")
class SupervisedFineTuning(TunesLanguageModel):
    """Trains a language model on the chosen answers by cross entropy.

    The loss of a batch is the mean of −log π(token | tokens before) over the tokens of its
    chosen answers. With `sample_weight`, one weight per pair, it is the sum of the weighted
    terms over the number of tokens, as Keras's losses divide by the number of samples.

    Args:
        policy: A model from token numbers to logits, such as `GPT2`.
        **kwargs: `keras.Model`'s.

    Example:
    ```python
    from keras_actfn.applications import GPT2
    from keras_actfn.finetuning import Preference, WordTokenizer, encode

    pairs = [Preference("what says the cow?", chosen="it says moo", rejected="it says cow")]
    tokenizer = WordTokenizer(["what says the cow? it says moo"], size=20)
    policy = GPT2(input_shape=(16,), classes=tokenizer.size, width=32, depth=1, heads=2)
    tuning = SupervisedFineTuning(policy)
    tuning.compile("adam")
    tuning.fit(encode(pairs, tokenizer, max_length=16, max_prompt=8), batch_size=32)
    ```
    """

    def __init__(self, policy: keras.Model, **kwargs: Any):
        super().__init__(policy, **kwargs)
        self.policy = policy

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Log-probabilities of all tokens but the first."""
        tokens = inputs["chosen"]
        return token_log_probabilities(self.policy(tokens[:, :-1], training=training), tokens)

    def compute_loss(
        self,
        x: Any,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        training: bool | None = True,
        **kwargs: Any,
    ) -> Any:
        """The mean over the answers' tokens, and the layers' own losses."""
        mask = ops.cast(x["chosen_mask"][:, 1:], y_pred.dtype)
        count = ops.maximum(ops.sum(mask), 1.0)
        losses = -ops.sum(y_pred * mask, axis=-1)
        return ops.sum(losses * example_weights(sample_weight, losses)) / count + sum(self.losses)


@keras.saving.register_keras_serializable(package="keras_actfn")
class DirectPreferenceOptimization(TunesLanguageModel):
    """Trains a language model to prefer the chosen answers.

    `fit` and `evaluate` report `loss`, `reward_margin` (mean of r(x, y_w) − r(x, y_l)) and
    `reward_accuracy` (how often r(x, y_w) > r(x, y_l)), the three metrics of the CRReLU
    paper's Table 4. `predict` gives the four log-probabilities of each pair. `sample_weight`,
    one weight per pair, multiplies the pair's loss; as with Keras's `metrics`, the two figures
    are those of unweighted pairs.

    Args:
        policy: A model from token numbers to logits, such as `GPT2`.
        reference: The frozen π₀; a copy of `policy` as it is now if None.
        beta: β above.
        label_smoothing: ε above, at least 0 and below 1/2.
        **kwargs: `keras.Model`'s.

    Raises:
        ValueError: If an argument is out of range, or the models share variables.

    Example:
    ```python
    from keras_actfn.applications import GPT2
    from keras_actfn.finetuning import Preference, WordTokenizer, encode

    pairs = [Preference("what says the cow?", chosen="it says moo", rejected="it says cow")]
    tokenizer = WordTokenizer(["what says the cow? it says moo"], size=20)
    policy = GPT2(input_shape=(16,), classes=tokenizer.size, width=32, depth=1, heads=2)
    tuning = DirectPreferenceOptimization(policy, beta=0.1)
    tuning.compile(dpo_optimizer())
    tuning.fit(encode(pairs, tokenizer, max_length=16, max_prompt=8), batch_size=32)
    ```
    """

    def __init__(
        self,
        policy: keras.Model,
        reference: keras.Model | None = None,
        *,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ):
        if reference is None:
            reference = keras.models.clone_model(policy)
            reference.set_weights(policy.get_weights())
        super().__init__(policy, reference, **kwargs)
        if not beta > 0:
            raise ValueError(f"beta is positive. Received: beta={beta!r}.")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(
                "label_smoothing, the share of wrong preferences, is at least 0 and below 0.5. "
                f"Received: label_smoothing={label_smoothing!r}."
            )
        self.policy = policy
        self.reference = reference
        self.beta = float(beta)
        self.label_smoothing = float(label_smoothing)
        self.margin = keras.metrics.Mean(name="reward_margin")
        self.accuracy = keras.metrics.Mean(name="reward_accuracy")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`[batch, 4]`: log π(y_w|x), log π(y_l|x), log π₀(y_w|x), log π₀(y_l|x)."""
        tokens = ops.concatenate([inputs["chosen"], inputs["rejected"]])
        mask = ops.concatenate([inputs["chosen_mask"], inputs["rejected_mask"]])
        policy = answer_log_probabilities(self.policy, tokens, mask, training)
        reference = answer_log_probabilities(self.reference, tokens, mask)
        pairs = ops.shape(inputs["chosen"])[0]
        parts = [ops.stop_gradient(reference[:pairs]), ops.stop_gradient(reference[pairs:])]
        return ops.stack([policy[:pairs], policy[pairs:], *parts], axis=-1)

    def compute_loss(
        self,
        x: Any,
        y: Any,
        y_pred: Any,
        sample_weight: Any = None,
        training: bool | None = True,
        **kwargs: Any,
    ) -> Any:
        """The mean over the pairs, and the layers' own losses."""
        margin = self.margins(y_pred)
        self.margin.update_state(margin)
        self.accuracy.update_state(ops.cast(margin > 0, "float32"))
        losses = dpo_loss(margin, self.label_smoothing)
        return ops.mean(losses * example_weights(sample_weight, losses)) + sum(self.losses)

    def margins(self, log_probabilities: Any) -> Any:
        """r(x, y_w) − r(x, y_l) from what `predict` gives."""
        chosen, rejected, reference_chosen, reference_rejected = ops.unstack(
            log_probabilities, 4, axis=-1
        )
        return self.beta * ((chosen - rejected) - (reference_chosen - reference_rejected))


@keras.saving.register_keras_serializable(package="keras_actfn")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """peak · min(1, (step + 1) / (steps + 1)).

    Args:
        peak: Learning rate after the warm-up.
        steps: Number of steps of the warm-up.
    """

    def __init__(self, peak: float, steps: int):
        self.peak = peak
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """The rate at a step, counted from 0."""
        return self.peak * ops.minimum(1.0, (ops.cast(step, "float32") + 1) / (self.steps + 1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps}


def dpo_optimizer(
    learning_rate: float = 5e-7, warmup_steps: int = 150, clip: float = 10.0
) -> keras.Optimizer:
    """RMSprop as in the CRReLU paper's Table 8; its ρ and ε are PyTorch's, which it used.

    Args:
        learning_rate: Rate after the linear warm-up.
        warmup_steps: Steps of the warm-up.
        clip: Greatest norm of the gradient.
    """
    return keras.optimizers.RMSprop(
        LinearWarmup(learning_rate, warmup_steps), rho=0.99, epsilon=1e-8, global_clipnorm=clip
    )
