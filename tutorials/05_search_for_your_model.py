"""Search for the activation function that a model of your own should use on its data
==================================================================================

The search (AQuaSurF, sections 3 to 6) trains tens of functions, not thousands. It computes the
Fisher spectrum of the untrained model with many functions. From the functions trained so far it
predicts which one to train next.

This search is as small as makes sense: a small network on scikit-learn's digits, 40 spectra and 14
trainings. For a real one, use more of everything and `embedding="union"`, the paper's.

Run it from any folder:

    python tutorials/05_search_for_your_model.py

It takes less than a minute. The report goes to runs/tutorials/search/.
"""

import shutil
from pathlib import Path

import keras

import keras_actfn
from keras_actfn import datasets, search, training
from keras_actfn.expressions import three_node

data = datasets.digits()


# %%
# The search needs a function that builds your model with a given activation.
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
shutil.rmtree(folder, ignore_errors=True)  # else a stored search is continued
task = training.Task(build_model, data, validation=400, epochs=5, batch_size=32)
found = search.ActivationSearch(
    task,
    three_node(),  # 5,103 functions, of which 2,791 differ
    storage=folder / "search.db",
    embedding="pca",
)

# %%
# Compute Fisher spectra at initialisation. A function with an invalid spectrum would fail in
# training and is left out.
print("probed:", found.probe(40))

# %%
# Train ReLU and what was good in the package's own tasks, then those functions for which the
# surrogate predicts the highest accuracy.
found.run(evaluations=14)
for row in found.table()[:5]:
    print(f"{row.value:.4f}  {row.expression}{'  (baseline)' if row.baseline else ''}")
print("next would be:", found.suggest())

# %%
# Use the best function as a layer.
layer = found.best.layer()
print(f"best: {found.best.expression}, {layer}")

# %%
# The function was chosen by its validation accuracy, which is therefore too high an estimate.
# `confirm` trains the best functions found and the best usual ones with other seeds, and compares
# the best of each side on the test images. It adds seeds until the answer is clear: 3, 6, 12.
# Three, as here, are seldom enough.
verdict = found.confirm(candidates=1, looks=(3,))
print(verdict)
print("report:", found.report(folder / "report.html", verdict))

# %%
# Plot the candidates by their outputs and spectra. The colour of a trained one is its accuracy. In
# the report, this map shows the function under the pointer.
found.plot()["map"].savefig(folder / "map.png", dpi=120)
