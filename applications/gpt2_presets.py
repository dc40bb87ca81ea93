"""GPT-2 weights and tokenisers from Keras Hub.

Keras Hub's `GPT2Backbone` builds its activation into the feed-forward layers, so its
weights are copied into a model made by `GPT2`. Query, key and value kernels, there
`[width, heads, d]` each, become one kernel `[width, 3 * width]` here.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from .._optional import require
from .gpt2 import GPT2, gelu_tanh


def gpt2_from_preset(preset: Any, activation: Any = gelu_tanh, **kwargs: Any) -> keras.Model:
    """A `GPT2` with the weights of a Keras Hub preset; needs keras-hub.

    Args:
        preset: What `keras_hub.models.Backbone.from_preset` takes, such as
            `"gpt2_base_en"` (downloaded on first use) or a folder, or a `GPT2Backbone`.
        activation: Any specification that `keras_actfn.activation` takes; the default is
            the function that the weights were trained with.
        **kwargs: Further arguments of `GPT2`, such as `dropout`.

    Returns:
        An uncompiled `keras.Model` from token numbers to logits.

    Raises:
        ValueError: If the preset is of another architecture.
        ImportError: If keras-hub is missing.

    Example:
    ```python
    model = gpt2_from_preset("gpt2_base_en", activation="crrelu")
    ```
    """
    backbone = preset
    if not isinstance(preset, keras.Model):
        hub = require("keras_hub", extra="hub")
        _check_preset(preset)
        backbone = hub.models.Backbone.from_preset(preset, dropout=0.0)
    _check_backbone(backbone)
    model = GPT2(
        activation,
        input_shape=(backbone.max_sequence_length,),
        classes=backbone.vocabulary_size,
        width=backbone.hidden_dim,
        depth=backbone.num_layers,
        heads=backbone.num_heads,
        mlp_ratio=backbone.intermediate_dim // backbone.hidden_dim,
        **kwargs,
    )
    copy_weights(backbone, model)
    return model


def copy_weights(backbone: Any, model: keras.Model) -> None:
    """Set the weights of a `GPT2` of the same sizes to those of a Keras Hub backbone.

    Args:
        backbone: A `keras_hub.models.GPT2Backbone`.
        model: A model with the layers of `GPT2`; its activations keep their weights.
    """

    def copy(source, target):
        model.get_layer(target).set_weights([_array(weight) for weight in source.weights])

    copy(backbone.token_embedding, "embedding")
    copy(backbone.position_embedding, "positions")
    for index, block in enumerate(backbone.transformer_layers, start=1):
        prefix = f"block_{index}"
        attention = block._self_attention_layer
        parts = [attention.query_dense, attention.key_dense, attention.value_dense]
        width = backbone.hidden_dim
        kernel = [_array(part.kernel).reshape(width, width) for part in parts]
        bias = [_array(part.bias).reshape(width) for part in parts]
        model.get_layer(f"{prefix}_qkv").set_weights(
            [np.concatenate(kernel, axis=1), np.concatenate(bias)]
        )
        output = attention.output_dense
        model.get_layer(f"{prefix}_projection").set_weights(
            [_array(output.kernel).reshape(width, width), _array(output.bias)]
        )
        copy(block._self_attention_layer_norm, f"{prefix}_norm_1")
        copy(block._feedforward_layer_norm, f"{prefix}_norm_2")
        copy(block._feedforward_intermediate_dense, f"{prefix}_mlp_1")
        copy(block._feedforward_output_dense, f"{prefix}_mlp_2")
    copy(backbone.layer_norm, "final_norm")


class HubTokenizer:
    """A Keras Hub tokeniser with the methods that the preference readers use.

    Args:
        tokenizer: The name or folder of a GPT-2 preset, or a
            `keras_hub.tokenizers.GPT2Tokenizer`.

    Attributes:
        end: Number of the token `<|endoftext|>`.
        size: Number of tokens.

    Raises:
        ImportError: If keras-hub is missing.

    Example:
    ```python
    tokenizer = HubTokenizer("gpt2_base_en")
    tokenizer.decode(tokenizer.encode("Hello"))
    ```
    """

    def __init__(self, tokenizer: Any):
        if isinstance(tokenizer, str):
            hub = require("keras_hub", extra="hub")
            tokenizer = hub.tokenizers.GPT2Tokenizer.from_preset(tokenizer)
        self._tokenizer = tokenizer
        self.end = int(tokenizer.end_token_id)
        self.size = int(tokenizer.vocabulary_size())

    def encode(self, text: str) -> list[int]:
        """A list of token numbers."""
        return [int(token) for token in np.asarray(self._tokenizer.tokenize(text))]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token numbers."""
        text = self._tokenizer.detokenize(np.asarray(tokens, "int32"))
        text = text.numpy() if hasattr(text, "numpy") else text
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _check_preset(preset):
    """Raise for a preset of another architecture before its weights are read."""
    utils = require("keras_hub.src.utils.preset_utils", extra="hub")
    config = utils.load_json(preset)
    names = [config.get(key, "") for key in ("registered_name", "class_name", "model_type")]
    if not any(name.endswith(("GPT2Backbone", "gpt2")) for name in names):
        received = next(filter(None, names), "model without a name")
        raise ValueError(_other_architecture(f"the preset '{preset}' of a {received}"))


def _check_backbone(backbone):
    if type(backbone).__name__ != "GPT2Backbone":
        raise ValueError(_other_architecture(f"a {type(backbone).__name__}"))
    if backbone.intermediate_dim % backbone.hidden_dim:
        raise ValueError(
            "GPT2 has an MLP whose width is a multiple of the tokens'. Received: a backbone with "
            f"intermediate_dim={backbone.intermediate_dim} and hidden_dim={backbone.hidden_dim}."
        )


def _other_architecture(received):
    return (
        "Weights for GPT2 come from a preset of keras_hub.models.GPT2Backbone, such as "
        f"'gpt2_base_en'. Received: {received}."
    )


def _array(weight):
    return keras.ops.convert_to_numpy(weight)
