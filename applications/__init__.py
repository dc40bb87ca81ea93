"""Models of the papers whose activation is an argument.

Every model is a function that returns an uncompiled `keras.Model` with fresh weights.
`activation` is any specification that `keras_actfn.activation` takes; each place where
the model has its activation (a site) gets a layer of its own, called `"activation_1"`,
`"activation_2"`, … in the order of the data. Layer names do not depend on what else was
built before, so weights move between two models by name.
"""

from .alexnet import AlexNet
from .all_cnn_c import AllCNNC
from .coatnet import CoAtNet
from .deit import DeiTTiny
from .gpt2 import GPT2
from .gpt2_generation import generate
from .gpt2_presets import HubTokenizer, gpt2_from_preset
from .kerasnet import KerasNet
from .lenet import LeNet5
from .mlp import MLP
from .mobilevit_v2 import MobileViTV2
from .preact_resnet import ResNet10, ResNet18
from .resnet50 import ResNet50
from .resnet_v1 import ResNet56
from .resnet_v2 import ResNet56V2
from .tnt import TNTSmall
from .vgg import VGG11
from .vit import ViTTiny

__all__ = [
    "GPT2",
    "MLP",
    "MODELS",
    "TABLE_MODELS",
    "AlexNet",
    "AllCNNC",
    "CoAtNet",
    "DeiTTiny",
    "HubTokenizer",
    "KerasNet",
    "LeNet5",
    "MobileViTV2",
    "ResNet10",
    "ResNet18",
    "ResNet50",
    "ResNet56",
    "ResNet56V2",
    "TNTSmall",
    "VGG11",
    "ViTTiny",
    "generate",
    "gpt2_from_preset",
]

#: Every model of images by the name that the command line takes.
MODELS = {
    "lenet5": LeNet5,
    "kerasnet": KerasNet,
    "resnet56": ResNet56,
    "alexnet": AlexNet,
    "all_cnn_c": AllCNNC,
    "resnet56v2": ResNet56V2,
    "mobilevit_v2": MobileViTV2,
    "coatnet": CoAtNet,
    "resnet50": ResNet50,
    "vgg11": VGG11,
    "resnet10": ResNet10,
    "resnet18": ResNet18,
    "vit_tiny": ViTTiny,
    "deit_tiny": DeiTTiny,
    "tnt_small": TNTSmall,
}

#: Every model of tables by the name that the command line takes.
TABLE_MODELS = {"mlp": MLP}
