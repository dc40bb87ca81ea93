"""What the gallery says of each function that cannot be computed: its definition and its use.

A definition is LaTeX, or cases: pairs of a formula and its condition.
"""

import dataclasses

Definition = str | tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the gallery.

    Attributes:
        definition: f(x), without the "f(x) =".
        advice: When to use it, a sentence or two.
        start: For a learned function, an expression that equals it before training.
        keras: For a function of Keras that no operator has, its name in `keras.activations`.
    """

    definition: Definition
    advice: str
    start: str | None = None
    keras: str | None = None


_BLOCK = "A building block of expressions. By itself "
_POSITIVE, _ELSE = "x > 0", r"x \leq 0"

OPERATORS = {
    "zero": Entry("0", _BLOCK + "it cuts the network off."),
    "one": Entry("1", _BLOCK + "it cuts the network off."),
    "identity": Entry(
        "x", "At the output of a regression, or as a base function of a learned combination."
    ),
    "negative": Entry("-x", _BLOCK + "it is linear."),
    "abs": Entry(
        r"\left|x\right|", _BLOCK + "it forgets the sign; in sums with other terms it makes a kink."
    ),
    "reciprocal": Entry(r"\frac{1}{x}", _BLOCK + "its pole at 0 makes training diverge."),
    "square": Entry(
        "x^{2}",
        _BLOCK
        + "it grows without bound on both sides; use it where inputs are small or normalised.",
    ),
    "exp": Entry(
        "e^{x}", "For outputs that are positive rates or scales. In hidden layers it overflows."
    ),
    "sigmoid": Entry(
        r"\sigma(x) = \frac{1}{1 + e^{-x}}",
        "For gates, and for the probability of one class at the output. In deep hidden layers its "
        "flat ends lose the gradient.",
    ),
    "erf": Entry(
        r"\frac{2}{\sqrt{\pi}} \int_{0}^{x} e^{-t^{2}} \, dt",
        "Where tanh would do: it is odd and bounded too, and reaches its ends sooner.",
    ),
    "erfc": Entry(r"1 - \mathrm{erf}(x)", "As a gate in products, such as x · erfc(x)."),
    "sinh": Entry(r"\frac{e^{x} - e^{-x}}{2}", _BLOCK + "it overflows."),
    "cosh": Entry(r"\frac{e^{x} + e^{-x}}{2}", _BLOCK + "it overflows."),
    "tanh": Entry(
        r"\frac{e^{x} - e^{-x}}{e^{x} + e^{-x}}",
        "For recurrent states and for small dense networks; values are bounded and centred.",
    ),
    "arcsinh": Entry(
        r"\log\left(x + \sqrt{x^{2} + 1}\right)",
        "Where inputs span orders of magnitude: linear near 0, logarithmic far away.",
    ),
    "arctan": Entry(
        r"\arctan(x)",
        "Where tanh saturates too soon: its slope falls as 1/x², not as an exponential.",
    ),
    "expm1": Entry("e^{x} - 1", _BLOCK + "it overflows; ELU is its bounded side joined to a line."),
    "log_sigmoid": Entry(
        r"-\log\left(1 + e^{-x}\right)",
        "For logarithms of probabilities. As a factor in products it did well in the benchmark.",
    ),
    "relu": Entry(
        r"\max(x, 0)",
        "The default: cheap, and what most architectures and initialisations were made for.",
    ),
    "elu": Entry(
        (("x", _POSITIVE), ("e^{x} - 1", _ELSE)),
        "Instead of ReLU where units die, or without normalisation: negative values keep the mean "
        "near 0.",
    ),
    "selu": Entry(
        (
            (r"s \, x", _POSITIVE),
            (r"s \, a \, (e^{x} - 1)", _ELSE),
            (r"s = 1.0507, \; a = 1.6733", ""),
        ),
        "For plain dense networks with LeCun's initialisation and without normalisation.",
    ),
    "swish": Entry(
        r"x \, \sigma(x)", "In deep convolutional networks with normalisation; also called SiLU."
    ),
    "softplus": Entry(
        r"\log\left(1 + e^{x}\right)",
        "For outputs that are positive, and where ReLU must be smooth.",
    ),
    "softsign": Entry(
        r"\frac{x}{1 + \left|x\right|}", "Where tanh is too slow or saturates too soon."
    ),
    "hard_sigmoid": Entry(
        r"\min(\max(0.2 \, x + 0.5, \, 0), \, 1)",
        "For gates on integer hardware. Keras's function of this name has the slope 1/6.",
    ),
    "bessel_i0e": Entry(
        r"e^{-\left|x\right|} I_{0}(x)", _BLOCK + "it is a bump with a kink and slow tails."
    ),
    "bessel_i1e": Entry(
        r"e^{-\left|x\right|} I_{1}(x)", _BLOCK + "it is odd and falls slowly back to 0."
    ),
    "elish": Entry(
        ((r"x \, \sigma(x)", _POSITIVE), (r"(e^{x} - 1) \, \sigma(x)", _ELSE)),
        "As Swish; the negative side returns to 0 sooner.",
    ),
    "gelu": Entry(
        r"\frac{x}{2} \, \mathrm{erfc}\left(\frac{-x}{\sqrt{2}}\right)",
        "In transformers: ViT, BERT and GPT-2 were trained with it.",
    ),
    "leakyrelu": Entry(
        (("x", _POSITIVE), (r"0.01 \, x", _ELSE)),
        "Instead of ReLU where units die. Keras's leaky_relu has the slope 0.2.",
    ),
    "mish": Entry(
        r"x \, \tanh\left(\log\left(1 + e^{x}\right)\right)",
        "As Swish; smoother, and dearer to compute.",
    ),
    "sin": Entry(
        r"\sin(x)",
        "In networks of coordinates (images, signals, differential equations), with weights that "
        "set the frequencies. In deep networks without that purpose training is hard.",
    ),
    "cos": Entry(
        r"\cos(x)", "Beside sin in networks of coordinates; even, and 1 at 0. Values never settle."
    ),
    "sinc": Entry(
        r"\frac{\sin(x)}{x}",
        "In networks of coordinates: a wave that dies out. It is not normalised, so its zeros are "
        "the multiples of π.",
    ),
    "gaussian": Entry(
        r"e^{-x^{2}}",
        "In networks of coordinates: smooth, local, and less sensitive to the initial weights "
        "than sin.",
    ),
    "add": Entry("x + y", "To add two functions of x."),
    "sub": Entry("x - y", "To subtract a function of x from another."),
    "mul": Entry(r"x \cdot y", "To gate one function of x by another, as Swish does."),
    "div": Entry(
        r"\frac{x}{y}", "Where the denominator stays away from 0; a pole makes training diverge."
    ),
    "pow": Entry("x^{y}", "With a whole number as exponent, or a base that is never negative."),
    "max": Entry(r"\max(x, y)", "To take the greater of two functions; it makes kinks."),
    "min": Entry(r"\min(x, y)", "To take the lesser of two functions; it makes kinks."),
    "sum_n": Entry(r"x_{1} + x_{2} + \ldots", "As add, of two or more functions."),
    "prod_n": Entry(r"x_{1} \cdot x_{2} \cdot \ldots", "As mul, of two or more functions."),
    "max_n": Entry(r"\max(x_{1}, x_{2}, \ldots)", "As max, of two or more functions."),
    "min_n": Entry(r"\min(x_{1}, x_{2}, \ldots)", "As min, of two or more functions."),
}

#: Activations of Keras that no operator equals; the pages of operators name those that one does.
KERAS = {
    "glu": Entry(
        r"a \, \sigma(b), \;\; x = (a, b)",
        "In feed-forward blocks that learn their own gate; the input's last axis is cut in two.",
        keras="glu",
    ),
    "hard_shrink": Entry(
        (("x", r"\left|x\right| > 0.5"), ("0", r"\left|x\right| \leq 0.5")),
        "For sparse codes: small values become 0, large ones keep their size.",
        keras="hard_shrink",
    ),
    "hard_sigmoid_keras": Entry(
        r"\min\left(\max\left(\frac{x}{6} + \frac{1}{2}, \, 0\right), \, 1\right)",
        "For gates on integer hardware, as in MobileNetV3. The operator hard_sigmoid has the slope "
        "0.2.",
        keras="hard_sigmoid",
    ),
    "hard_silu": Entry(
        r"x \, \min\left(\max\left(\frac{x}{6} + \frac{1}{2}, \, 0\right), \, 1\right)",
        "Instead of Swish on mobile and integer hardware.",
        keras="hard_silu",
    ),
    "hard_tanh": Entry(
        r"\min(\max(x, \, -1), \, 1)", "Instead of tanh on integer hardware.", keras="hard_tanh"
    ),
    "leaky_relu": Entry(
        (("x", _POSITIVE), (r"0.2 \, x", _ELSE)),
        "In discriminators and where ReLU's units die. The operator leakyrelu has the slope 0.01.",
        keras="leaky_relu",
    ),
    "log_softmax": Entry(
        r"x_{i} - \log \sum_{j} e^{x_{j}}",
        "At the output, for logarithms of the classes' probabilities.",
        keras="log_softmax",
    ),
    "prelu": Entry(
        (("x", _POSITIVE), (r"\alpha \, x", _ELSE)),
        "Where one learned slope is enough; aff(identity,relu) is the same function, and has one "
        "slope for the layer where Keras's PReLU has one for each unit.",
        keras="prelu",
    ),
    "relu6": Entry(
        r"\min(\max(x, \, 0), \, 6)",
        "Before 8-bit quantization: the range is known.",
        keras="relu6",
    ),
    "soft_shrink": Entry(
        (
            ("x - 0.5", "x > 0.5"),
            ("x + 0.5", "x < -0.5"),
            ("0", r"\mathrm{otherwise}"),
        ),
        "For sparse codes and denoising: the proximal step of an L1 penalty.",
        keras="soft_shrink",
    ),
    "softmax": Entry(
        r"\frac{e^{x_{i}}}{\sum_{j} e^{x_{j}}}",
        "At the output, for the probabilities of classes that exclude each other.",
        keras="softmax",
    ),
    "sparse_plus": Entry(
        (
            ("0", r"x \leq -1"),
            (r"\frac{(x + 1)^{2}}{4}", "-1 < x < 1"),
            ("x", r"x \geq 1"),
        ),
        "Instead of softplus where exact zeros are wanted.",
        keras="sparse_plus",
    ),
    "sparse_sigmoid": Entry(
        r"\min\left(\max\left(\frac{x + 1}{2}, \, 0\right), \, 1\right)",
        "For gates that close and open entirely.",
        keras="sparse_sigmoid",
    ),
    "sparsemax": Entry(
        r"\mathrm{argmin}_{p} \; \|p - x\|_{2} \;\mathrm{,}\;\; "
        r"p_{i} \geq 0, \;\; \sum_{i} p_{i} = 1",
        "At the output or in attention, where most probabilities should be exactly 0.",
        keras="sparsemax",
    ),
    "squareplus": Entry(
        r"\frac{x + \sqrt{x^{2} + 4}}{2}",
        "Instead of softplus where exponentials are dear.",
        keras="squareplus",
    ),
    "tanh_shrink": Entry(
        r"x - \tanh(x)", "For sparse codes: flat at 0, linear far away.", keras="tanh_shrink"
    ),
    "threshold": Entry(
        (("x", r"x > \theta"), ("v", r"x \leq \theta")),
        "Where values below a level have no meaning. The level θ and the value v must be given.",
        keras="threshold",
    ),
}

#: The layers of this package that learn, by the specification that makes one.
LEARNED = {
    "conv(identity,relu,tanh)": Entry(
        r"\sum_{i} c_{i} f_{i}(x), \;\; c_{i} \geq 0, \;\; \sum_{i} c_{i} = 1",
        "Where a mixture of known functions is wanted that cannot leave their range.",
        start="(x+relu(x)+tanh(x))/3",
    ),
    "aff(identity,relu,tanh)": Entry(
        r"\sum_{i} c_{i} f_{i}(x), \;\; \sum_{i} c_{i} = 1",
        "As conv, with negative weights allowed: the paper's best on most of its networks.",
        start="(x+relu(x)+tanh(x))/3",
    ),
    "pwl": Entry(
        r"v_{s} + \frac{x - x_{s}}{x_{s+1} - x_{s}} \, (v_{s+1} - v_{s}), "
        r"\;\; x_{s} \leq x < x_{s+1}",
        "Where the shape itself should be learned. It starts from ReLU or any other function, so "
        "it fits into a trained model.",
        start="relu(x)",
    ),
    "spline(initial=tanh)": Entry(
        r"\sum_{s} c_{s} \, B\left(\frac{x - x_{s}}{h}\right)",
        "As pwl, where derivatives of the network count, as in networks of coordinates and "
        "differential equations: it has two continuous ones. B is the cubic B-spline.",
        start="tanh(x)",
    ),
    "crrelu": Entry(
        r"\max(x, 0) + \varepsilon \, x \, e^{-x^{2}/2}",
        "In transformers, instead of GELU or ReLU, with one more parameter for each layer.",
        start="relu(x)+0.01*x*exp(negative(x*x)/2)",
    ),
    "rational(initial=swish)": Entry(
        r"\frac{a_{0} + a_{1} x + \ldots + a_{5} x^{5}}"
        r"{1 + \left|b_{1} x + \ldots + b_{4} x^{4}\right|}",
        "Where the shape itself should be learned with ten parameters. It starts near any function "
        "on an interval, and is another one outside.",
        start="swish(x)",
    ),
    "xielu": Entry(
        (
            (r"\alpha_{p} x^{2} + \beta x", _POSITIVE),
            (r"\alpha_{n} (e^{x} - 1) - \alpha_{n} x + \beta x", _ELSE),
        ),
        "In the feed-forward part of language models, instead of SwiGLU's or squared ReLU. It "
        "grows as a square, so normalise before it.",
        start="0.8*relu(x)**2+0.5*x+0.8*(expm1(min(x,0))-min(x,0))",
    ),
    "acon": Entry(
        r"(p_{1} - p_{2}) \, x \, \sigma(\beta (p_{1} - p_{2}) \, x) + p_{2} \, x",
        "In convolutional networks instead of Swish, with three parameters for each channel.",
        start="swish(x)",
    ),
    "dyt": Entry(
        r"\gamma \, \tanh(\alpha \, x) + \beta",
        "In the place of LayerNormalization or RMSNormalization in transformers, not in that of "
        "an activation: it needs no statistics.",
        start="tanh(0.5*x)",
    ),
    "scaled(sin)": Entry(
        r"a \, f(b \, x)",
        "Around any function whose scale matters: the frequency of a sine, the width of a "
        "Gaussian, the place where tanh saturates.",
        start="sin(x)",
    ),
}

#: When to use a discovered function.
DISCOVERED_ADVICE = (
    "To repeat the paper's result, or as one candidate among others: its search was for {task}. "
    "Compare it on your own task first."
)
