"""The Fisher spectrum of KerasNet for four activation functions
=============================================================

The Fisher information matrix measures how much a network's predictions change when its weights
change. Its eigenvalues at initialisation separate good activation functions from bad ones before
any training (AQuaSurF, section 3). This script draws the paper's Fig. 5 on real images. The spectra
of relu and -relu nearly coincide (with mirrored weights they would be equal); that of sigmoid is
far away.

Run it from any folder:

    python tutorials/02_fisher_spectrum_of_a_model.py
"""

from pathlib import Path

import keras
import numpy as np
from keras_actfn.applications import KerasNet

from keras_actfn import datasets
from keras_actfn.fisher import fisher_spectrum
from keras_actfn.plotting import spectrum_figure

# %%
# Load Fashion-MNIST if it is on this machine, scikit-learn's digits otherwise.
name = "fashion_mnist" if datasets.find_fashion_mnist() else "digits"
data = datasets.load(name, image_size=None if name == "fashion_mnist" else 28)
x = data.x_train[datasets.balanced_indices(data.y_train, 32)]
print(f"{len(x)} images of {data.name}")

activations = {
    "relu": "relu",
    "-relu": lambda values: -keras.ops.relu(values),
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}

# %%
# All networks start from the same weights. Only the activation differs.
spectra = {}
for label, activation in activations.items():
    keras.utils.set_random_seed(0)
    model = KerasNet(activation=activation, input_shape=data.input_shape, classes=data.classes)
    spectra[label] = fisher_spectrum(model, x)

# %%
# A spectrum has one block per layer with weights. Print a summary of each block, and some of the
# eigenvalues.
relu = spectra["relu"]
print(relu)
for layer in relu.layers:
    figures = relu.summary(layer)
    print(
        f"  {layer:<14} {figures['parameters']:>7} eigenvalues, largest {figures['max']:.3g}, "
        f"effective rank {figures['effective_rank']:.1f}"
    )
print("largest log-eigenvalues of the first layer:", np.round(relu.log_eigenvalues(0)[-3:], 2))

# %%
# A search takes the cumulative distributions of all layers as its vector of features.
print("features:", relu.features().shape)

# %%
# The paper's distance (Eq. 2) is the sum of the layers' Wasserstein distances.
for label, spectrum in spectra.items():
    print(f"distance from relu to {label:<8} {relu.distance(spectrum):.6f}")

folder = Path("runs/tutorials")
folder.mkdir(parents=True, exist_ok=True)
spectrum_figure(spectra).savefig(folder / "02_fisher_spectrum.png", dpi=150)
print("figure:", folder / "02_fisher_spectrum.png")
