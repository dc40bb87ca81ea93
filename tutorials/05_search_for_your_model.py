"""Search for the activation function that a model of your own should use on its data
==================================================================================

The search (AQuaSurF, sections 3 to 6) trains tens of functions, not thousands: it computes the
Fisher spectrum of the model with many functions before any training, and predicts from the
functions trained so far which one to train next.

This script takes the smallest sensible search, so that it ends within a minute: a small network
on scikit-learn's digits, 40 spectra, 14 trainings. For real ones: more of everything, and
`embedding="union"`, the paper's.

Run: python tutorials/05_search_for_your_model.py
"""

import shutil
from pathlib import Path

import keras

import keras_actfn
from keras_actfn import datasets, search, training
from keras_actfn.expressions import three_node

data = datasets.digits()


# %%
# All that the search needs of your model is its activation as an argument.
def build_model(activation):
    """A network of two hidden layers."""
    return keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(32),
            keras_actfn.activation(activation),
            keras.layers.Dense(32),
            keras_actfn.activation(activation),
            keras.layers.Dense(data.classes, activation="softmax"),
        ]
    )


folder = Path("runs/tutorials/search")
shutil.rmtree(folder, ignore_errors=True)  # a search that is found on disk goes on
task = training.Task(build_model, data, validation=400, epochs=5, batch_size=32)
found = search.ActivationSearch(
    task,
    three_node(),  # 5,103 functions, of which 2,791 differ
    storage=folder / "search.db",
    embedding="pca",
)

# %%
# Fisher spectra at initialisation. Functions whose spectrum is invalid would fail in training.
print("probed:", found.probe(40))

# %%
# Eight usual functions are trained first, then what the surrogate expects most of.
found.run(evaluations=14)
for row in found.table()[:5]:
    print(f"{row.value:.4f}  {row.expression}{'  (baseline)' if row.baseline else ''}")
print("next would be:", found.suggest())

# %%
# The best function is a layer like any other.
layer = found.best.layer()
print(f"best: {found.best.expression}, {layer}")

# %%
# Validation accuracies chose the function, so they flatter it. `confirm` trains the best functions
# found and the best usual ones with other seeds, and compares the best of each side on the test
# images. It adds seeds until the answer is clear: 3, 6, 12. Three are not enough here.
verdict = found.confirm(candidates=1, looks=(3,))
print(verdict)
print("report:", found.report(folder / "report.html", verdict))

# %%
# The candidates by their outputs and spectra, the trained ones coloured by their accuracy. The
# report has this map with an answer to the pointer.
found.plot()["map"].savefig(folder / "map.png", dpi=120)
