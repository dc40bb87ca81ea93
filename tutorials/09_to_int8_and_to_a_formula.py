"""From a trained activation to 8 bits, and to a formula
=====================================================

A curve that a network has learned needs a form that a chip can compute, and a name that a person
can read. `compile_activations` gives it few linear segments, the best for the inputs that it sees,
and tables of 256 bytes. `nearest` finds the formula next to it, and `replacement_report` says what
the network loses by that formula.

Run it from any folder:

    python tutorials/09_to_int8_and_to_a_formula.py

It takes less than a minute on two cores. The files go to runs/tutorials/09/.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import keras_actfn
from keras_actfn import datasets
from keras_actfn.expressions import nearest, three_node
from keras_actfn.plotting import draw_compiled_site, save_figure
from keras_actfn.surgery import (
    compile_activations,
    int8_table,
    quantizations,
    replacement_report,
    write_c,
)

folder = Path("runs/tutorials/09")
folder.mkdir(parents=True, exist_ok=True)

# %%
# 1. Train a network whose activations are learned: values at 33 knots that start as swish.
keras.utils.set_random_seed(0)
data = datasets.load("digits")
model = keras.Sequential(
    [
        keras.Input(data.input_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(32, name="before_first"),
        keras_actfn.activation("pwl(initial=swish)", name="first"),
        keras.layers.Dense(32),
        keras_actfn.activation("pwl(initial=swish)", name="second"),
        keras.layers.Dense(data.classes, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(data.x_train, data.y_train, batch_size=32, epochs=8, verbose=0)

# %%
# 2. Give each activation at most eight segments. Breakpoints and values are optimal under the
#    density of the inputs that reach it on these images; "even" has evenly spaced breakpoints.
compiled = compile_activations(model, data.x_train, segments=8)
print(compiled)
for site in compiled.sites:
    save_figure(draw_compiled_site(site), folder / f"{site.site.path}.png")
compiled.model.save(folder / "segments.keras")

# %%
# 3. For a microcontroller, write each activation as a table of 256 bytes into a C header. Between
#    8-bit numbers a table is the whole function, and its error is half a step of the output.
#    `export_int8` writes the network in 8 bits for phones: LiteRT with KERAS_BACKEND=tensorflow,
#    ONNX on TensorFlow and PyTorch.
write_c(folder / "activations.h", compiled.sites)
site = compiled.sites[0]
inputs, outputs = quantizations(site)
table = int8_table(site.segments, inputs, outputs)
print(f"{site.site.path}: {table[:4]} …; one step of the output is {outputs.scale:.4f}")

# %%
# 4. What has been learned? These are the nearest formulas among 5,103 functions, under the density
#    of the inputs. Without `space`, a million functions are compared. Of formulas that are equally
#    near, the shorter one is listed first.
unique = three_node().unique()
before = keras.Model(model.inputs, model.get_layer("before_first").output)
seen = before.predict(data.x_train, verbose=0).reshape(-1)
found = nearest(model.get_layer("first"), density=seen, space=unique)
print(found)

# %%
# 5. A formula that is near need not be good enough. Replace both activations, each by its nearest
#    formula, and compare loss and accuracy on the test images.
report = replacement_report(model, data.x_test, data.y_test, space=unique)
print(report)
report.model.save(folder / "formulas.keras")
print(f"\nFigures, header and models: {folder}")
