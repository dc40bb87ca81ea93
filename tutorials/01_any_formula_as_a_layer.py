"""Any formula in x as an activation layer
=======================================

Run it from any folder:

    python tutorials/01_any_formula_as_a_layer.py

It takes a few seconds. The model and the figure go to runs/tutorials/.
"""

from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_actfn.expressions import DISCOVERED, SearchSpace, parse, register_operator
from keras_actfn.layers import ExpressionActivation
from keras_actfn.plotting import draw_function, function_curve, save_figure

# %%
# 1. `parse` reads a formula in the names of the operator table or in Python's notation. Models are
#    saved with its canonical text.
f = parse("x * erfc(elu(x))")
print("canonical text:", f)
print("LaTeX:         ", f.latex())

# %%
# 2. Call it on NumPy arrays, which it computes in float64, or on tensors of the backend, with
#    gradients.
print("f(-1), f(1):   ", f(np.array([-1.0, 1.0])))

# %%
# 3. An error points to the mistake.
try:
    parse("max(rellu(x), x)")
except ValueError as error:
    print(f"\n{error}\n")

# %%
# 4. As a layer, a formula works in any model. Compare ReLU with a function that a search found for
#    CoAtNet, erfc(softplus(x))^2, on scikit-learn's digits.
images, labels = load_digits(return_X_y=True)
images = images.astype("float32") / 16


def accuracy(expression):
    """Train a small network with the expression after each hidden layer."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64),
            ExpressionActivation(expression),
            keras.layers.Dense(64),
            ExpressionActivation(expression),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:1400], labels[:1400], epochs=5, verbose=0)
    return model, model.evaluate(images[1400:], labels[1400:], verbose=0)[1]


for name in ("relu(x)", "erfc_softplus_squared"):
    model, score = accuracy(name)
    print(f"{name:<24} accuracy {score:.3f}")
print("found by:", DISCOVERED["erfc_softplus_squared"].source)

# %%
# 5. A saved model holds the formula's text. After `import keras_actfn` it loads without
#    `custom_objects`.
folder = Path("runs/tutorials")
folder.mkdir(parents=True, exist_ok=True)
model.save(folder / "formula.keras")
again = keras.models.load_model(folder / "formula.keras")
assert np.allclose(model.predict(images[:9], verbose=0), again.predict(images[:9], verbose=0))

# %%
# 6. Register an operator of your own to use it in formulas and search spaces.
register_operator("sine", keras.ops.sin, reference=np.sin, formula="sin(x)")
space = SearchSpace(["binary(unary(x),unary(x))"], unary=["identity", "sine", "swish", "one"])
unique = space.unique()
print(f"{len(space)} formulas, {len(unique)} different functions, for example:")
for expression in unique.expressions[:60:12]:
    print("  ", expression)

path = save_figure(draw_function(function_curve(f)), folder / "01_formula.png")
print("figure:", path)
