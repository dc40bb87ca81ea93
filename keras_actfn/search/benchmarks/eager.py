"""A Keras model as a list of PyTorch calls: the same numbers, without what a call of Keras costs.

Thousands of small functions are trained on one or two cores, where eager PyTorch is the fastest
backend: nothing is compiled. A layer's `__call__` takes longer than its arithmetic there, so the
model's graph is walked once and its operations are called directly, those with weights by
PyTorch's own functions on Keras's own variables: the Keras model is trained in place.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ...models import graph

layers = keras.layers
_EPSILON = 1e-7  # Keras's, of Adam


class EagerModel:
    """A functional Keras model on PyTorch, called operation by operation.

    Args:
        model: A built functional or Sequential model with one input and one output.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self.parameters = [variable.value for variable in model.trainable_variables]
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.training = False
        self._steps: list[tuple[Callable, bool, list[int], int]] = []
        places: dict[int, int] = {id(model.inputs[0]): 0}
        for node in graph.nodes(model):
            if node.is_input:
                continue
            operation = node.operation
            (output,) = node.outputs
            given = [places[id(tensor)] for tensor in node.input_tensors]
            places[id(output)] = len(places)
            self._steps.append((*self._step(operation, node), given, places[id(output)]))
        self._end = places[id(model.outputs[0])]
        self._count = len(places)

    def __call__(self, x: Any) -> Any:
        """The outputs of a batch."""
        values: list[Any] = [None] * self._count
        values[0] = x
        for call, as_list, given, place in self._steps:
            if as_list:
                values[place] = call([values[i] for i in given])
            else:
                values[place] = call(*[values[i] for i in given])
        return values[self._end]

    def _step(self, operation, node):
        """A function of the inputs, and whether it takes them as one list."""
        arguments, keywords = node.arguments.args, node.arguments.kwargs
        as_list = len(arguments) == 1 and isinstance(arguments[0], list | tuple)
        plain = not any(value is not None for value in keywords.values()) and (
            as_list or all(isinstance(a, keras.KerasTensor) for a in arguments)
        )
        form = _FORMS.get(type(operation))
        if form is not None and plain:
            return form(operation, self), as_list
        if plain:
            return operation.call, as_list
        return _filled(operation, node), False


def _filled(operation, node):
    """A call with the arguments that are not tensors in their places."""

    def call(*tensors):
        by_id = {id(t): value for t, value in zip(node.input_tensors, tensors, strict=True)}
        arguments, keywords = keras.tree.map_structure(
            lambda a: by_id.get(id(a), a), (node.arguments.args, node.arguments.kwargs)
        )
        return operation.call(*arguments, **keywords)

    return call


def _dense(layer, _):
    import torch

    kernel, bias = layer._kernel.value, None if layer.bias is None else layer.bias.value
    activation = None if layer.activation is keras.activations.linear else layer.activation

    def call(x):
        rows = x.reshape(-1, x.shape[-1])
        y = rows @ kernel if bias is None else torch.addmm(bias, rows, kernel)
        y = y.reshape(*x.shape[:-1], kernel.shape[-1]) if x.ndim != 2 else y
        return y if activation is None else activation(y)

    return call


def _convolution(layer, _):
    import torch

    plain = layer.activation in (None, keras.activations.linear) and layer.groups == 1
    padding = _padding(layer)
    if not plain or padding is None or layer.data_format != "channels_last":
        return layer.call
    kernel, bias = layer._kernel.value, None if layer.bias is None else layer.bias.value

    def call(x):
        y = torch.nn.functional.conv2d(
            x.permute(0, 3, 1, 2),
            kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last),
            bias,
            stride=layer.strides,
            padding=padding,
        )
        return y.permute(0, 2, 3, 1)

    return call


def _padding(layer):
    """PyTorch's padding, the same at both ends; None where Keras's is not."""
    if layer.padding == "valid":
        return 0
    same = all(k % 2 for k in layer.kernel_size) and set(layer.strides) == {1}
    return tuple(k // 2 for k in layer.kernel_size) if same else None


def _layer_norm(layer, _):
    import torch

    if list(layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]) != [-1] and (
        layer.gamma is None or layer.gamma.ndim != 1
    ):
        return layer.call
    gamma, beta = layer.gamma.value, layer.beta.value

    def call(x):
        return torch.nn.functional.layer_norm(x, gamma.shape, gamma, beta, layer.epsilon)

    return call


def _batch_norm(layer, owner):
    import torch

    gamma, beta = layer.gamma.value, layer.beta.value
    mean, variance = layer.moving_mean.value, layer.moving_variance.value

    def call(x):
        moved = x.movedim(-1, 1)
        if not owner.training:
            y = torch.nn.functional.batch_norm(
                moved, mean, variance, gamma, beta, False, 0.0, layer.epsilon
            )
            return y.movedim(1, -1)
        y, batch_mean, inverse = torch.native_batch_norm(
            moved, gamma, beta, None, None, True, 0.0, layer.epsilon
        )
        with torch.no_grad():
            mean.lerp_(batch_mean, 1 - layer.momentum)
            variance.lerp_(inverse.pow(-2) - layer.epsilon, 1 - layer.momentum)
        return y.movedim(1, -1)

    return call


def _self_attention(layer, _):
    import torch

    def call(packed):
        *leading, tokens, width = packed.shape
        size = width // (3 * layer.heads)
        q, k, v = packed.reshape(*leading, tokens, 3, layer.heads, size).movedim(-2, -4).unbind(-2)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=layer.causal)
        return out.movedim(-3, -2).reshape(*leading, tokens, width // 3)

    return call


def _forms():
    from ...applications.transformer_common import SelfAttention

    return {
        layers.Dense: _dense,
        layers.Conv2D: _convolution,
        layers.LayerNormalization: _layer_norm,
        layers.BatchNormalization: _batch_norm,
        SelfAttention: _self_attention,
    }


#: PyTorch's own functions for layers with weights.
_FORMS = _forms()


class Optimizer:
    """The optimiser of a recipe, with Keras's rule.

    Args:
        parameters: Tensors to train.
        recipe: A `BenchRecipe`.
    """

    def __init__(self, parameters: list, recipe: Any):
        import torch

        self.recipe, self.parameters, self._step = recipe, parameters, 0
        if recipe.optimizer == "sgd":
            self._velocities = [torch.zeros_like(p) for p in parameters]
        else:
            self._adam = torch.optim.AdamW(
                parameters,
                recipe.learning_rate,
                eps=_EPSILON,
                weight_decay=recipe.weight_decay,
                fused=True,
            )

    def step(self, loss: Any) -> None:
        """One step along the gradient of a loss."""
        import torch

        rate = self.recipe.rate(self._step)
        self._step += 1
        gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        if self.recipe.optimizer == "adamw":
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                # The fused step goes through memory and takes no heed of strides.
                parameter.grad = gradient.contiguous()
            group = self._adam.param_groups[0]
            # Keras adds ε to the second moment's root before its correction, PyTorch after it.
            group["lr"], group["eps"] = (
                rate,
                _EPSILON / math.sqrt(1 - group["betas"][1] ** self._step),
            )
            self._adam.step()
            return
        with torch.no_grad():
            changes = torch._foreach_add(gradients, self.parameters, alpha=self.recipe.weight_decay)
            torch._foreach_mul_(self._velocities, self.recipe.momentum)
            torch._foreach_add_(self._velocities, changes, alpha=-rate)
            torch._foreach_add_(self.parameters, self._velocities)


def numpy_of(tensor: Any) -> np.ndarray:
    """A tensor's values."""
    return tensor.detach().numpy()
