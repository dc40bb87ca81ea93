"""One grammar from a specification to a fresh activation layer."""

import ast
import inspect
import re

import keras

from . import expressions
from .expressions import SpecError
from .layers import PWL, AffineHullActivation, ConvexHullActivation, CRReLU, ExpressionActivation

#: The layers that a text can call, by the name it uses.
LAYERS = {
    "conv": ConvexHullActivation,
    "aff": AffineHullActivation,
    "pwl": PWL,
    "crrelu": CRReLU,
}

#: Those whose positional arguments are base functions.
_HULLS = ("conv", "aff")

_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_KEYWORD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)")


def activation(spec, *, name=None, dtype=None):
    """A new activation layer from any specification of one.

    | spec | gives |
    |---|---|
    | `"relu"`, `"gelu"`, any Keras activation name | `keras.layers.Activation` |
    | `"conv(identity,relu,tanh)"` | `ConvexHullActivation` |
    | `"aff(identity,relu,tanh)"` | `AffineHullActivation` |
    | `"pwl"`, `"pwl(knots=17,initial=tanh,axis=-1)"` | `PWL` |
    | `"crrelu"`, `"crrelu(epsilon=0.05)"` | `CRReLU` |
    | an expression in x, an operator's or a discovered function's name | `ExpressionActivation` |

    Args:
        spec: A text of the table; an `Expression`; a function of one tensor; a Layer class; a
            Layer instance, which is copied by its configuration (its name and weights are
            not); or a factory, a callable without arguments that returns a Layer.
        name: Name of the layer; chosen by Keras if None.
        dtype: The layer's dtype or dtype policy; the global one if None. Not with a factory.

    Returns:
        A new `keras.layers.Layer`, never one that was returned before.

    Raises:
        SpecError: If a text is unknown or malformed; a `ValueError` that shows the place.
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
    if isinstance(spec, expressions.Expression):
        return ExpressionActivation(spec, **options)
    if isinstance(spec, keras.layers.Layer):
        config = {**spec.get_config(), **options}
        if name is None:
            config.pop("name", None)
        return type(spec).from_config(config)
    if inspect.isclass(spec) and issubclass(spec, keras.layers.Layer):
        return spec(**options)
    if callable(spec):
        return _from_callable(spec, options)
    raise TypeError(
        "An activation is given by a text, an expression, a function of one tensor, a Layer "
        f"class or instance, or a factory without arguments. Received: {spec!r}."
    )


def names():
    """Every single word that `activation` accepts, for messages and completion."""
    operators = [
        operator
        for operator in expressions.operator_names()
        if expressions.find_operator(operator).arity == 1
    ]
    return sorted({*LAYERS, *_keras_names(), *operators, *expressions.DISCOVERED})


def _from_callable(function, options):
    if not _takes_no_arguments(function):
        return keras.layers.Activation(function, **options)
    layer = function()
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "A factory, a callable without arguments, returns a new Keras layer. "
            f"{function!r} returned {layer!r}."
        )
    if "name" in options:
        layer.name = options["name"]
    return layer


def _takes_no_arguments(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-in functions have no signature
        return False
    return not any(
        parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in parameters
    )


def _from_text(spec, options):
    word = spec.strip()
    if word in LAYERS:
        return LAYERS[word](**options)
    if word in _keras_names():
        return keras.layers.Activation(word, **options)
    call = _CALL.match(spec)
    if call and call.group(1) in LAYERS:
        return _from_call(call.group(1), spec, call.end(), options)
    if word.isidentifier() and word not in names() and word != "x":
        raise SpecError(
            f"Unknown activation '{word}'. {expressions.nearest(word, names())}".rstrip(),
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
    for text, position in _arguments(spec, start):
        keyword = _KEYWORD.match(text)
        if keyword:
            key = keyword.group(1)
            _check_keyword(word, key, spec, position + text.index(key))
            keywords[key] = _literal(text[keyword.end() :])
        elif keywords:
            raise SpecError("Arguments without a name come before those with one.", spec, position)
        else:
            positional.append((text, position))
    if positional and word not in _HULLS:
        raise SpecError(
            f"'{word}' takes named arguments only, such as {word}("
            f"{next(iter(_keywords(word)))}=…).",
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
            f"{expressions.nearest(key, known)}".rstrip(),
            spec,
            position,
        )


def _literal(text):
    """A Python number, list, None or boolean; any other text is itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _keras_names():
    helpers = ("get", "serialize", "deserialize")
    public = (name for name in dir(keras.activations) if not name.startswith("_"))
    return [name for name in public if name not in helpers]
