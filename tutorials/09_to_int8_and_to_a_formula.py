"""From a trained activation to 8 bits, and to a formula.

A curve that a network learned needs a form that a chip has, and a name that a person reads.
`compile_activations` gives it few linear segments, the best for what it really sees, and tables
of 256 bytes. `nearest` finds the formula next to it, and `replacement_report` says what the
network loses by it.

    python tutorials/09_to_int8_and_to_a_formula.py

Takes half a minute. Everything is written to runs/tutorials/09.
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

# 1. A network whose activations are learned: the values at 33 knots, starting from swish.
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

# 2. Eight segments each. Breakpoints and values are optimal under the density of the inputs that
#    reach the activation on these images; the table compares with evenly spaced breakpoints.
compiled = compile_activations(model, data.x_train, segments=8)
print(compiled)
for site in compiled.sites:
    save_figure(draw_compiled_site(site), folder / f"{site.site.path}.png")
compiled.model.save(folder / "segments.keras")

# 3. For a microcontroller: a table of 256 bytes for each activation, as a C header. Between 8-bit
#    numbers a table is all of the function; its error is half a step of the output.
write_c(folder / "activations.h", compiled.sites)
site = compiled.sites[0]
inputs, outputs = quantizations(site)
table = int8_table(site.segments, inputs, outputs)
print(
    f"\n{site.site.path}: 256 bytes, {table[:4]} …, one step of the output is {outputs.scale:.4f}"
)
#    The whole network in 8 bits, for phones: export_int8(compiled, "model.tflite", data.x_train),
#    with KERAS_BACKEND=tensorflow; format="onnx" on TensorFlow and PyTorch.

# 4. What has been learned? The nearest formulas of the small space of 5,103 functions; leave
#    `space` out for a million. Formulas that are equally near come shorter first.
unique = three_node().unique()
seen = keras.Model(model.inputs, model.get_layer("before_first").output)
inputs_of_first = seen.predict(data.x_train, verbose=0).reshape(-1)
found = nearest(model.get_layer("first"), density=inputs_of_first, space=unique)
print(f"\n{found}\n")

# 5. A formula that is near need not be good enough. What does the network lose?
report = replacement_report(model, data.x_test, data.y_test, space=unique)
print(report)
report.model.save(folder / "formulas.keras")
print(f"\nFigures, header and models: {folder}")
