"""Names that Keras and the operator table share, and what each of them means.

A word means one function wherever it stands by itself: as a spec of `keras_actfn.activation`, as
a base function, as the start of a PWL layer, as the argument of `resolve`. A word that would
mean two is refused, with the unambiguous spelling of both. With brackets, a name always is the
operator's.
"""

import keras

from .errors import SpecError

#: Keras activations that are functions of one number and have no operator of the same name and
#: meaning. The others (softmax, glu, ...) mix elements, so they are no base function, knot
#: value or operator.
KERAS_NAMES = (
    "celu",
    "exponential",
    "hard_shrink",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "relu6",
    "silu",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh_shrink",
)

#: The function of `keras.activations.hard_sigmoid`, which is not the table's hard_sigmoid.
KERAS_HARD_SIGMOID = "max(min(x/6+0.5,1),0)"

#: Words that would mean two functions: each spelling that means one, and what it means.
AMBIGUOUS = {
    "hard_sigmoid": {
        "hard_sigmoid(x)": "clip(0.2 x + 0.5, 0, 1), the operator of the search spaces",
        KERAS_HARD_SIGMOID: "clip(x/6 + 0.5, 0, 1), keras.activations.hard_sigmoid",
    },
    "leakyrelu": {
        "leakyrelu(x)": "the slope 0.01 for x < 0, the operator of the search spaces",
        "leaky_relu": "the slope 0.2, keras.activations.leaky_relu",
    },
}


def keras_names() -> list[str]:
    """Return every name that `keras.activations.get` knows, those that mix elements included."""
    helpers = ("get", "serialize", "deserialize")
    public = (name for name in dir(keras.activations) if not name.startswith("_"))
    return [name for name in public if name not in helpers]


def refuse_ambiguous(word: str, text: str, position: int) -> None:
    """Raise a SpecError if `word`, which stands at `position` of `text`, means two functions."""
    if word in AMBIGUOUS:
        meanings = "; ".join(f"'{spec}' for {what}" for spec, what in AMBIGUOUS[word].items())
        raise SpecError(f"'{word}' may mean two functions. Write {meanings}.", text, position)
