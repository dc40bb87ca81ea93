"""One grammar from a specification to a fresh activation layer."""

import ast
import copy
import inspect
import re
import sys
from typing import Any

import keras

from . import expressions
from ._names import nearest
from .expressions import SpecError
from .expressions.expression import MAX_LENGTH
from .expressions.names import AMBIGUOUS, keras_names, refuse_ambiguous
from .layers import (
    ACON,
    PWL,
    XIELU,
    AffineHullActivation,
    ConvexHullActivation,
    CRReLU,
    DynamicTanh,
    ExpressionActivation,
    LearnableActivation,
    Rational,
    ScaledActivation,
    Spline,
)

#: The layers that a text can call, by the name it uses.
LAYERS: dict[str, Any] = {
    "conv": ConvexHullActivation,
    "aff": AffineHullActivation,
    "pwl": PWL,
    "spline": Spline,
    "crrelu": CRReLU,
    "rational": Rational,
    "xielu": XIELU,
    "acon": ACON,
    "dyt": DynamicTanh,
    "scaled": ScaledActivation,
}

#: The layers of the package, which `register_layer` does not replace.
_BUILT_IN = frozenset(LAYERS)


def register_layer(word: str, layer: type[keras.layers.Layer]) -> None:
    """Let specifications call a layer of your own, as in `"snake(frequency=2.0)"`.

    The named arguments are those of its constructor. A layer with an argument `base_functions`
    takes functions without names before them, as `conv` and `aff` do; one with an argument
    `activation` takes one function, or one layer of this grammar, as `scaled` does. Derive it from
    `keras_actfn.layers.LearnableActivation` for parameters per axis, and register it with
    `keras.saving.register_keras_serializable`, so that models with it load.

    Args:
        word: An identifier that nothing else has that `activation` accepts.
        layer: A subclass of `keras.layers.Layer`.

    Raises:
        ValueError: If the word is taken or not an identifier.
        TypeError: If `layer` is not a Layer class.

    Example:
    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class Snake(keras_actfn.layers.LearnableActivation):
        def __init__(self, frequency=1.0, **kwargs):
            super().__init__(**kwargs)
            self.frequency = frequency

        def activate(self, x):
            return x + keras.ops.sin(self.frequency * x) ** 2 / self.frequency

        def get_config(self):
            return {**super().get_config(), "frequency": self.frequency}


    keras_actfn.register_layer("snake", Snake)
    keras_actfn.activation("snake(frequency=2.0)")
    ```
    """
    if not (inspect.isclass(layer) and issubclass(layer, keras.layers.Layer)):
        raise TypeError(
            f"A registered layer is a subclass of keras.layers.Layer. Received: {layer!r}."
        )
    if not isinstance(word, str) or not (word.isascii() and word.isidentifier()) or word == "x":
        raise ValueError(
            f"The word for a layer is an ASCII identifier other than 'x'. Received: {word!r}."
        )
    if LAYERS.get(word) is layer and word not in _BUILT_IN:
        return
    if word in LAYERS or word in names() or word in AMBIGUOUS or expressions.find_operator(word):
        raise ValueError(f"'{word}' is taken. Choose another word for {layer.__name__}.")
    LAYERS[word] = layer


_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_KEYWORD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)")


def activation(spec: Any, *, name: str | None = None, dtype: Any = None) -> keras.layers.Layer:
    """A new activation layer from any specification of one.

    | spec | gives |
    |---|---|
    | `"relu"`, `"gelu"`, a Keras activation name | `keras.layers.Activation` |
    | `"conv(identity,relu,tanh)"` | `ConvexHullActivation` |
    | `"aff(identity,relu,tanh)"` | `AffineHullActivation` |
    | `"pwl"`, `"pwl(knots=17,initial=tanh,axis=-1)"` | `PWL` |
    | `"spline"`, `"spline(knots=17,initial=tanh,axis=-1)"` | `Spline` |
    | `"crrelu"`, `"crrelu(epsilon=0.05)"` | `CRReLU` |
    | `"rational"`, `"rational(degrees=[5,4],initial=tanh)"` | `Rational` |
    | `"xielu"`, `"acon"`, `"dyt"` | `XIELU`, `ACON`, `DynamicTanh` |
    | `"scaled(sin)"`, `"scaled(pwl(knots=9),a=1,b=2,axis=-1)"` | `ScaledActivation` |
    | an expression in x, an operator's or a discovered function's name | `ExpressionActivation` |

    Args:
        spec: A text of the table; an `Expression` or a `NearestFormula`; a function of one
            tensor; a PyTorch module, which is copied with its weights; a Layer class; a Layer
            instance, which is copied by its configuration (its name and weights are not); or a
            factory, a callable without arguments that returns a Layer.
        name: Name of the layer; chosen by Keras if None.
        dtype: The layer's dtype or dtype policy; the global one if None. Not with a factory.

    Returns:
        A new `keras.layers.Layer`, never one that was returned before.

    Raises:
        SpecError: If a text is unknown or malformed, or a word that means two functions
            (`"hard_sigmoid"`, `"leakyrelu"`); a `ValueError` that shows the place.
        ValueError: If a layer does not accept the arguments, or a factory gives no Layer.
        TypeError: If `spec` is none of the above.

    Example:
    ```python
    keras_actfn.activation("pwl(knots=17,initial=tanh)")  # <PWL name=pwl, built=True>
    keras_actfn.activation("max(relu(x),tanh(x))")  # <ExpressionActivation …>
    ```
    """
    options = {key: value for key, value in {"name": name, "dtype": dtype}.items() if value}
    if isinstance(spec, str):
        return _from_text(spec, options)
    if isinstance(spec, expressions.NearestFormula):
        spec = spec.whole
    if isinstance(spec, expressions.Expression):
        return ExpressionActivation(spec, **options)
    if isinstance(spec, keras.layers.Layer):
        return _copy_of(spec, options)
    if inspect.isclass(spec) and issubclass(spec, keras.layers.Layer):
        return spec(**options)
    if callable(spec):
        return _from_callable(spec, options)
    raise TypeError(
        "An activation is given by a text, an expression, a function of one tensor, a Layer "
        f"class or instance, or a factory without arguments. Received: {spec!r}."
    )


def names() -> list[str]:
    """Every single word that `activation` accepts, for messages and completion."""
    operators = [
        operator
        for operator in expressions.operator_names()
        if (found := expressions.find_operator(operator)) and found.arity == 1
    ]
    known = {*LAYERS, *keras_names(), *operators, *expressions.DISCOVERED}
    return sorted(known - set(AMBIGUOUS))


def _copy_of(layer, options):
    """A layer of the same configuration; what no configuration can name is handed over."""
    kind, common = type(layer), ("trainable", "activity_regularizer")
    given = {name: getattr(layer, name) for name in common}
    given |= {"dtype": layer.dtype_policy, **options}
    if kind is keras.layers.Lambda:
        return kind(layer.function, mask=layer.mask, arguments=layer.arguments, **given)
    if kind is keras.layers.TorchModuleWrapper:
        return kind(copy.deepcopy(layer.module), **given)
    if kind is keras.layers.Activation:
        held = layer.activation
        return kind(activation(held) if isinstance(held, keras.layers.Layer) else held, **given)
    config = {**layer.get_config(), **options}
    if "name" not in options:
        config.pop("name", None)
    return kind.from_config(config)


def _from_callable(function, options):
    if _is_torch_module(function):
        return keras.layers.Activation(copy.deepcopy(function), **options)
    layer = _from_factory(function)
    if layer is None:
        return keras.layers.Activation(function, **options)
    if "name" in options:
        layer.name = options["name"]
    return layer


def _is_torch_module(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _from_factory(function):
    """What a factory returns; None for a function of a tensor."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-in functions have no signature
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if any(p.default is p.empty and p.kind not in variable for p in parameters):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        # A decorator hides the arguments: only a call tells.
        try:
            layer = function()
        except Exception:  # of any kind: a function of a tensor has been called without one
            return None
        return layer if isinstance(layer, keras.layers.Layer) else None
    layer = function()
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "A factory, a callable without arguments, returns a new Keras layer. "
            f"{function!r} returned {layer!r}."
        )
    return layer


def _from_text(spec, options):
    if len(spec) > MAX_LENGTH:
        raise SpecError(f"A specification has at most {MAX_LENGTH:,} characters.", spec[:60], 60)
    word = spec.strip()
    refuse_ambiguous(word, spec, spec.find(word))
    if word in LAYERS:
        return LAYERS[word](**options)
    if word in keras_names():
        return keras.layers.Activation(word, **options)
    call = _CALL.match(spec)
    if call and call.group(1) in LAYERS:
        return _from_call(call.group(1), spec, call.end(), options)
    if word.isidentifier() and word not in names() and word != "x":
        raise SpecError(
            f"Unknown activation '{word}'. {nearest(word, names())}".rstrip(),
            spec,
            spec.index(word),
        )
    if not word:
        raise SpecError("An activation is named by a text that is not empty.", spec, 0)
    function = expressions.resolve(spec)
    if isinstance(function, expressions.Expression):
        return ExpressionActivation(function, **options)
    return keras.layers.Activation(function.function, **options)


def _from_call(word, spec, start, options):
    """The layer of `word(arguments)`, where `start` is the position behind the bracket."""
    positional, keywords = [], {}
    parameters = inspect.signature(LAYERS[word].__init__).parameters
    for text, position in _arguments(spec, start):
        keyword = _KEYWORD.match(text)
        if keyword:
            key = keyword.group(1)
            _check_keyword(word, key, spec, position + text.index(key))
            if key in keywords:
                raise SpecError(f"'{key}' is given twice.", spec, position)
            if key == "activation":
                keywords[key] = _one_function(text, keyword.end(), spec, position)
                continue
            try:
                keywords[key] = _literal(text[keyword.end() :])
            except ValueError as error:
                raise SpecError(str(error), spec, position) from None
        elif keywords:
            raise SpecError("Arguments without a name come before those with one.", spec, position)
        else:
            positional.append((text, position))
    if len(positional) == 1 and "activation" in parameters and "activation" not in keywords:
        keywords["activation"] = _one_function(positional[0][0], 0, spec, positional[0][1])
        positional = []
    if positional and "activation" in parameters:
        raise SpecError(f"'{word}' takes one function.", spec, positional[-1][1])
    if positional and "base_functions" not in parameters:
        raise SpecError(
            f"'{word}' takes named arguments only{_such_as(word)}.",
            spec,
            positional[0][1],
        )
    for text, position in positional:
        try:
            expressions.resolve(text.strip())
        except SpecError as error:
            lead = len(text) - len(text.lstrip())
            raise error.shifted(spec, position + lead) from None
    if positional:
        keywords["base_functions"] = [text.strip() for text, _ in positional]
    try:
        return LAYERS[word](**keywords, **options)
    except SpecError:
        raise
    except (TypeError, ValueError) as error:
        raise ValueError(f"The activation '{spec}' is not valid: {error}") from error


def _one_function(text, start, spec, position):
    """What `text` says from `start` on: a function of one number, or a layer that learns one."""
    inner = text[start:].strip()
    place = position + start + len(text[start:]) - len(text[start:].lstrip())
    try:
        call = _CALL.match(inner)
        if inner not in LAYERS and not (call and call.group(1) in LAYERS):
            return expressions.resolve(inner)
        layer = _from_text(inner, {})
    except SpecError as error:
        raise error.shifted(spec, place) from None
    if not isinstance(layer, LearnableActivation):
        raise SpecError("This layer is no function of one number with parameters.", spec, place)
    return layer


def _arguments(spec, start):
    """The comma-separated arguments from `start` to the closing bracket, with positions."""
    begin, found = start, []
    closing = {"(": ")", "[": "]"}
    stack = []
    for position in range(start, len(spec)):
        character = spec[position]
        if character in closing:
            stack.append(closing[character])
        elif character in ")]":
            if not stack:
                break
            if stack.pop() != character:
                raise SpecError("This bracket closes another kind.", spec, position)
        elif character == "," and not stack:
            found.append((spec[begin:position], begin))
            begin = position + 1
    else:
        raise SpecError("A closing bracket ')' is missing.", spec, len(spec))
    if spec[position] != ")":
        raise SpecError("This bracket closes another kind.", spec, position)
    if spec[position + 1 :].strip():
        raise SpecError("Nothing may follow the closing bracket.", spec, position + 1)
    if found or spec[begin:position].strip():
        found.append((spec[begin:position], begin))
    for text, place in found:
        if not text.strip():
            raise SpecError("An argument is missing here.", spec, place)
    return found


def _such_as(word):
    known = _keywords(word)
    return f", such as {word}({known[0]}=…)" if known else ""


def _keywords(word):
    """The named arguments of a layer in a text, in order."""
    parameters = inspect.signature(LAYERS[word].__init__).parameters.values()
    hidden = ("self", "base_functions")
    return [p.name for p in parameters if p.kind != p.VAR_KEYWORD and p.name not in hidden]


def _check_keyword(word, key, spec, position):
    known = _keywords(word)
    if key not in known:
        raise SpecError(
            f"'{word}' has no argument '{key}'; it has {', '.join(known)}. "
            f"{nearest(key, known)}".rstrip(),
            spec,
            position,
        )


def _literal(text):
    """A Python number, list, None or boolean; any other text is itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
    except (RecursionError, MemoryError):
        raise ValueError("An argument nests too deep.") from None
