"""GPT-2 (Radford et al., Language Models are Unsupervised Multitask Learners, section 2.3)."""

import re
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from .common import activation_sites, classifier_function
from .transformer_common import AddPositions, SelfAttention, check_sizes

_BLOCK = re.compile(r"block_(\d+)_qkv")


@keras.saving.register_keras_serializable(package="keras_actfn")
def gelu_tanh(x: Any) -> Any:
    """GELU's tanh approximation, x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))): GPT-2's own."""
    return keras.activations.gelu(x, approximate=True)


def GPT2(
    activation: Any = gelu_tanh,
    input_shape: tuple[int | None, ...] = (1024,),
    classes: int = 50257,
    classifier_activation: Any = None,
    name: str | None = "gpt2",
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp_ratio: float = 4,
    dropout: float = 0.0,
) -> keras.Model:
    """GPT-2 small: 124,439,808 parameters; 12 sites.

    Tokens and learned positions are embedded and added; `depth` times x += attention (LN x)
    over the tokens up to each one, x += MLP (LN x), the activation between the MLP's two
    dense layers; LN; logits by the transposed token embedding. Every dense layer has a
    bias; layer normalisation has epsilon 1e-5. Weights start from N(0, 0.02²), positions
    from N(0, 0.01²), and those that add to x have their deviation divided by √(2 depth)
    (section 2.3). Sequences may have any length up to the context; as attention looks
    back only, padding at the end does not change what is before it.

    Args:
        activation: Any specification that `keras_actfn.activation` takes; GELU's tanh
            approximation by default.
        input_shape: `(context,)`, the greatest number of tokens of a sequence.
        classes: Number of tokens in the vocabulary.
        classifier_activation: Activation of the output; None for logits.
        name: Name of the model.
        width: Width of the tokens.
        depth: Number of blocks, and of sites.
        heads: Number of heads; divides `width`.
        mlp_ratio: Width of the MLP over `width`.
        dropout: Rate of dropout on the embedded tokens and before each addition to x.

    Returns:
        An uncompiled functional `keras.Model` from token numbers `[batch, tokens]` to
        `[batch, tokens, classes]`.

    Raises:
        ValueError: If an argument is not what it should be, or, when it is called, if a
            sequence is longer than the context.

    Example:
    ```python
    from keras_actfn.applications import GPT2, generate

    model = GPT2("crrelu", input_shape=(64,), classes=256, width=64, depth=2, heads=2)
    tokens = generate(model, [[72, 105]], 20)
    ```
    """
    try:
        (context,) = input_shape
    except (TypeError, ValueError):
        raise ValueError(
            "GPT2: input_shape is (context,), the greatest number of tokens of a sequence. "
            f"Received: input_shape={input_shape!r}."
        ) from None
    sizes = {"width": width, "heads": heads, "depth": depth, "mlp_ratio": mlp_ratio}
    check_sizes("GPT2", context=context, classes=classes, **sizes)
    last = classifier_function("GPT2", classifier_activation)
    made = _layers(activation_sites(activation), context, classes, dropout, **sizes)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    outputs = logits_of(
        tokens,
        made.__getitem__,
        depth,
        attention=lambda block, packed: made[f"block_{block}_attention"](packed),
        positions=made["positions"],
        dropout=(lambda name, x: layers.Dropout(dropout, name=name)(x)) if dropout else None,
    )
    if classifier_activation is not None:
        outputs = layers.Activation(last, name="predictions")(outputs)
    return keras.Model(tokens, outputs, name=name)


def logits_of(
    tokens: Any,
    layer: Callable,
    depth: int,
    *,
    attention: Callable,
    positions: Any,
    dropout: Any = None,
) -> Any:
    """GPT-2's computation, whatever the layers and however attention is computed.

    Args:
        tokens: Token numbers, `[batch, tokens]`.
        layer: Function from a layer's name to the layer.
        depth: Number of blocks.
        attention: Function of a block's number and its packed queries, keys and values.
        positions: Function that adds the positions.
        dropout: Function of a name and a tensor, or None.

    Returns:
        Logits, `[batch, tokens, vocabulary]`.
    """
    drop = dropout or (lambda name, x: x)
    x = drop("dropout", positions(layer("embedding")(tokens)))
    for block in range(1, depth + 1):
        prefix = f"block_{block}"
        change = layer(f"{prefix}_qkv")(layer(f"{prefix}_norm_1")(x))
        change = layer(f"{prefix}_projection")(attention(block, change))
        x = layer(f"{prefix}_add_1")([x, drop(f"{prefix}_dropout_1", change)])
        change = layer(f"{prefix}_mlp_1")(layer(f"{prefix}_norm_2")(x))
        change = layer(f"{prefix}_mlp_2")(layer(f"activation_{block}")(change))
        x = layer(f"{prefix}_add_2")([x, drop(f"{prefix}_dropout_2", change)])
    return layer("embedding")(layer("final_norm")(x), reverse=True)


def depth_of(model: keras.Model) -> int:
    """Number of blocks of a model made by `GPT2`.

    Raises:
        ValueError: If it was made otherwise.
    """
    names = {layer.name for layer in model.layers}
    depth = sum(bool(_BLOCK.fullmatch(name)) for name in names)
    needed = {"embedding", "positions", "final_norm"}
    needed |= {f"activation_{block}" for block in range(1, depth + 1)}
    if not depth or not needed <= names:
        raise ValueError(
            "This takes a model with the layers of keras_actfn.applications.GPT2. Received: "
            f"'{model.name}' of class {type(model).__name__}, which lacks "
            f"{sorted(needed - names) or 'blocks'}."
        )
    return depth


def _layers(site, context, classes, dropout, *, width, heads, depth, mlp_ratio):
    """Every layer by its name."""
    residual = (2 * depth) ** -0.5

    def dense(units, name, scale=1.0):
        return layers.Dense(units, kernel_initializer=_normal(0.02 * scale), name=name)

    def norm(name):
        return layers.LayerNormalization(epsilon=1e-5, name=name)

    made = [
        layers.ReversibleEmbedding(
            classes, width, embeddings_initializer=_normal(0.02), name="embedding"
        ),
        AddPositions(context, _normal(0.01), name="positions"),
        norm("final_norm"),
    ]
    for block in range(1, depth + 1):
        prefix = f"block_{block}"
        made += [
            norm(f"{prefix}_norm_1"),
            dense(3 * width, f"{prefix}_qkv"),
            SelfAttention(heads, causal=True, name=f"{prefix}_attention"),
            dense(width, f"{prefix}_projection", residual),
            layers.Add(name=f"{prefix}_add_1"),
            norm(f"{prefix}_norm_2"),
            dense(mlp_ratio * width, f"{prefix}_mlp_1"),
            site(),
            dense(width, f"{prefix}_mlp_2", residual),
            layers.Add(name=f"{prefix}_add_2"),
        ]
    return {layer.name: layer for layer in made}


def _normal(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)
