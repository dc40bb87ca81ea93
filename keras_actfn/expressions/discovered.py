"""Activation functions that searches discovered, by name, with their source.

All are from Bingham and Miikkulainen, "Efficient Activation Function Optimization
through Surrogate Modeling" (AQuaSurF, NeurIPS 2023): the three best functions of each
search, Tables 1 and 3. `accuracy` is the paper's, on the search's own task; "rank" is the
row among the three. A name works wherever an expression does: `"erfc_softplus_squared"`.
"""

from dataclasses import dataclass

from .expression import Expression
from .parse import parse

PAPER = (
    "Bingham and Miikkulainen, Efficient Activation Function Optimization through "
    "Surrogate Modeling, NeurIPS 2023"
)


@dataclass(frozen=True)
class Discovered:
    """A discovered function.

    Attributes:
        name: What `resolve` and every activation spec accept.
        text: The expression.
        printed: The formula as the paper prints it.
        table: Table of the paper.
        task: Architecture and data set of the search.
        rank: Place among the functions discovered on that task, from 1.
        accuracy: Test (CIFAR-100) or validation accuracy in the paper.
        source: The paper.
    """

    name: str
    text: str
    printed: str
    table: int
    task: str
    rank: int
    accuracy: float
    source: str = PAPER

    @property
    def expression(self) -> Expression:
        """The parsed expression."""
        return parse(self.text)


_ALL_CNN_C = (1, "All-CNN-C on CIFAR-100")
_RESNET56 = (1, "ResNet-56 on CIFAR-100")
_MOBILE_VIT = (1, "MobileViTv2-0.5 on ImageNet")
_COATNET = (3, "CoAtNet on Imagenette")

#: The functions that published searches discovered, by name; `keras_actfn.activation` takes each.
DISCOVERED = {
    row.name: row
    for row in (
        Discovered(
            "hard_sigmoid_twice_elu",
            "mul(hard_sigmoid(hard_sigmoid(x)),elu(x))",
            "HardSigmoid(HardSigmoid(x)) · ELU(x)",
            *_ALL_CNN_C,
            rank=1,
            accuracy=0.6990,
        ),
        Discovered(
            "sigmoid_softsign_elu",
            "mul(sigmoid(softsign(x)),elu(x))",
            "σ(Softsign(x)) · ELU(x)",
            *_ALL_CNN_C,
            rank=2,
            accuracy=0.6950,
        ),
        Discovered(
            "swish_over_selu_one",
            "div(swish(x),selu(one(x)))",
            "Swish(x)/SELU(1)",
            *_ALL_CNN_C,
            rank=3,
            accuracy=0.6931,
        ),
        Discovered(
            "swish_minus_two_x",
            "swish(sub(negative(x),identity(x)))",
            "Swish(−2x)",
            *_RESNET56,
            rank=1,
            accuracy=0.7469,
        ),
        Discovered(
            "selu_sinh_expm1_arctan",
            "selu(sinh(expm1(arctan(x))))",
            "SELU(sinh(e^arctan(x) − 1))",
            *_RESNET56,
            rank=2,
            accuracy=0.7458,
        ),
        Discovered(
            "x_erfc_elu",
            "mul(erfc(elu(x)),identity(x))",
            "x · erfc(ELU(x))",
            *_RESNET56,
            rank=3,
            accuracy=0.7419,
        ),
        Discovered(
            "minus_swish_hard_sigmoid",
            "mul(negative(swish(x)),hard_sigmoid(x))",
            "−x · σ(x) · HardSigmoid(x)",
            *_MOBILE_VIT,
            rank=1,
            accuracy=0.6396,
        ),
        Discovered(
            "elu_swish_minus_x",
            "elu(swish(negative(x)))",
            "ELU(Swish(−x))",
            *_MOBILE_VIT,
            rank=2,
            accuracy=0.6394,
        ),
        Discovered(
            "swish_erfc_bessel_i0e",
            "mul(erfc(bessel_i0e(x)),swish(x))",
            "Swish(x) · erfc(bessel_i0e(x))",
            *_MOBILE_VIT,
            rank=3,
            accuracy=0.6336,
        ),
        Discovered(
            "erfc_softplus_squared",
            "square(erfc(softplus(x)))",
            "erfc(Softplus(x))²",
            *_COATNET,
            rank=1,
            accuracy=0.8907,
        ),
        Discovered(
            "min_softplus_squared_minus_x",
            "min(square(softplus(x)),negative(x))",
            "min{Softplus(x)², −x}",
            *_COATNET,
            rank=2,
            accuracy=0.8861,
        ),
        Discovered(
            "arcsinh_elu_swish",
            "arcsinh(elu(swish(x)))",
            "arcsinh(ELU(Swish(x)))",
            *_COATNET,
            rank=3,
            accuracy=0.8828,
        ),
    )
}
