"""One step down the entropy of an activation's output (EAFO)
==========================================================

EAFO changes a monotone activation in the direction in which the entropy of its output falls
fastest, given the density of its input. This script takes one such step, shows its limits, and then
takes steps during training.

Run it from any folder:

    python tutorials/04_entropy_step.py

It takes a few seconds. The figures go to runs/tutorials/04_*.png.
"""

from pathlib import Path

import keras
import numpy as np
from scipy import stats

from keras_actfn.callbacks import EAFO
from keras_actfn.layers import PWL
from keras_actfn.plotting import save_figure
from keras_actfn.plotting.theory import derived_entropy_step, draw_derived
from keras_actfn.theory import eafo_step, max_step, output_entropy, wafbc

folder = Path("runs/tutorials")
folder.mkdir(parents=True, exist_ok=True)
normal = stats.norm(0, 1)

# %%
# 1. Compute the entropy of the output. Among the functions of one range, the input's distribution
#    function has the largest entropy; the paper calls it the worst activation function.
print(f"H of tanh:  {output_entropy('tanh', normal):.6f}")
print(f"H of the worst function with the range of tanh: {wafbc(normal, -1, 1).entropy:.6f}")

# %%
# 2. Take a step. With a step above the limit, f would no longer be monotone.
limit = max_step("tanh", normal)
step = eafo_step("tanh", normal, step=1.0)
print(f"\nlargest step {limit:.6f}")
print(f"H before {step.entropy_before:.6f}, after {step.entropy_after:.6f}")

# %%
# 3. Scaling a function down lowers its entropy too, but leaves H - log std as it is.
print(f"H - log std before {step.normalised_before:.6f}, after {step.normalised_after:.6f}")
knots = np.linspace(-3, 3, 33)
figure = draw_derived(derived_entropy_step(step, np.tanh, normal.pdf, knots, "tanh"))
print("figure:", save_figure(figure, folder / "04_tanh.png"))

# %%
# 4. The result is a function. Its values at the knots initialise a PWL layer.
layer = PWL(knots=33, initial=step.table(knots).tolist())
layer.build((None, 1))
print("as a layer, f(1) =", float(layer.evaluate(1.0)), " exactly", float(step(1.0)))

# %%
# 5. ReLU has an inverse only for x > 0, the `region` of this step. The result is
#    x - e x exp(-x²/2) with e > 0. (The CRReLU paper prints the opposite sign. There e is learned,
#    so training chooses the sign.)
step = eafo_step("relu", normal, step=0.5, region=(0, np.inf))
print(f"\nReLU on x > 0: H {step.entropy_before:.4f} -> {step.entropy_after:.4f}")
figure = draw_derived(
    derived_entropy_step(step, lambda x: np.maximum(x, 0), normal.pdf, knots, "relu")
)
print("figure:", save_figure(figure, folder / "04_relu.png"))

# %%
# 6. For some pairs of activation and density there is no step. The error says why. A smoothed
#    density can have one.
for activation, density in (("tanh", stats.laplace()), ("identity", stats.laplace())):
    try:
        eafo_step(activation, density, step=0.1)
    except ValueError as error:
        print(f"\n{activation}, Laplace inputs: {error}")
step = eafo_step("identity", stats.laplace(), step=0.5, smooth=0.3)
print(f"smoothed: H {step.entropy_before:.4f} -> {step.entropy_after:.4f}")

# %%
# 7. During training, the callback estimates the input density of each PWL layer. At the end of an
#    epoch it takes a fraction of the largest step, and keeps it only if the entropy falls on inputs
#    that were not used for the estimate.
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(2048, 8)).astype("float32")
y = (x[:, 0] + x[:, 1] ** 2 > 1).astype("float32")
model = keras.Sequential(
    [
        keras.layers.Input((8,)),
        keras.layers.Dense(16),
        keras.layers.BatchNormalization(),
        PWL(name="activation"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
callback = EAFO(x, every=2, step=0.3)
history = model.fit(x, y, epochs=6, batch_size=128, verbose=0, callbacks=[callback]).history
print()
for record in callback.records:
    verdict = "kept" if record.accepted else f"not kept ({record.reason})"
    print(
        f"epoch {record.epoch + 1}: step {record.step:.3f} of at most {record.max_step:.3f} on "
        f"({record.region[0]:g}, {record.region[1]:g}), change of H {record.entropy_change:+.4f}, "
        f"of H - log std {record.normalised_change:+.4f}: {verdict}"
    )
print(f"training accuracy {history['accuracy'][-1]:.3f}")
