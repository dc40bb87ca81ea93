"""What shape should an activation have?
=====================================

The distribution of a unit's input depends on the class. Which function of the input correlates best
with the classes? For Gaussian classes the answer can be computed exactly.

Run it from any folder:

    python tutorials/03_what_shape_should_an_activation_have.py

It takes a few seconds. The figures go to runs/tutorials/03_*.png.
"""

from pathlib import Path

import numpy as np

from keras_actfn.plotting import save_figure
from keras_actfn.plotting.theory import derived_correlation, draw_derived
from keras_actfn.theory import (
    CorrelationObjective,
    GaussianMixture,
    UnrestrictedOptimum,
    compare_shapes,
    two_class_optimum,
)

folder = Path("runs/tutorials")
folder.mkdir(parents=True, exist_ok=True)

# %%
# 1. The setting has twenty classes. In each of them the input is normal with standard deviation 1;
#    the means are spread evenly over [-3, 3]. f is piecewise linear with 33 knots.
mixture = GaussianMixture(means=np.linspace(-3, 3, 20), std=1.0)
knots = np.linspace(-3, 3, 33)
objective = CorrelationObjective(mixture, knots, extrapolation="linear")

# %%
# 2. The objective: rho_k is the correlation of f(x) with "the class is k". L is the sum of the
#    squares of the negative correlations minus that of the positive ones. Smaller is better.
relu = np.maximum(knots, 0)
print("correlations of ReLU with the classes:")
print(np.round(objective.correlations(relu), 3))
print(f"L of ReLU: {objective.value(relu):.6f}")

# %%
# 3. Computing the exact optimum takes milliseconds. The paper's method, gradient descent, reaches
#    it in 500 steps.
best = objective.optimum()
trained = objective.train(method="adam", data="analytic", steps=500)
print(f"L of the exact optimum: {best.objective:.8f}")
print(f"L that Adam finds:      {trained.objective:.8f}")

# %%
# 4. The best of all functions, piecewise linear or not, is bounded. Swish is not bounded: it can
#    come close to the optimum but cannot be it.
everything = UnrestrictedOptimum(mixture)
print(f"L of the best of all functions: {everything.objective:.8f}")

# %%
# 5. Which known family does the optimum resemble? Compare them all, because several fit with a high
#    R².
shapes = compare_shapes(knots, best.values, mirrored=False)
print(f"\n{shapes}\n")
figure = draw_derived(derived_correlation(objective, best.values, shapes, everything))
print("figure:", save_figure(figure, folder / "03_twenty_classes.png"))

# %%
# 6. The optimal shape depends on the statistics. It changes when the classes are better separated,
#    and when f is constant outside the knots ("clamp").
for sigma in (0.6, 1.0):
    for extension in ("clamp", "linear"):
        case = CorrelationObjective(GaussianMixture(mixture.means, sigma), knots, extension)
        swish = compare_shapes(knots, case.optimum().values, mirrored=False)["swish"]
        print(
            f"sigma {sigma}, {extension:>6}: L = {case.optimum().objective:.4f}, "
            f"Swish fit beta {swish.beta:.2f}, x0 {swish.x0:.2f}, R2 {swish.r2:.4f}"
        )

# %%
# 7. Two classes are special: rho_2 = -rho_1, so L is zero for every f. The library raises an error
#    instead of returning the function that training started from.
pair = GaussianMixture([-1.0, 1.0], 1.0)
try:
    CorrelationObjective(pair, knots).optimum()
except ValueError as error:
    print(f"\ntwo classes: {error}")

# %%
#    For two classes, maximise rho_2 instead. The best function is the posterior, a sigmoid.
two = two_class_optimum(pair, knots, "clamp")
print(f"largest rho_2: {two.correlation:.6f}, sigmoid of slope {two.slope:.2f}")
print(compare_shapes(knots, two.values, mirrored=False))

# %%
#    Three classes whose means are three standard deviations apart give a ramp again.
three = CorrelationObjective(GaussianMixture([-3, 0, 3], 1.0), knots, "clamp")
figure = draw_derived(derived_correlation(three, three.optimum().values))
print("figure:", save_figure(figure, folder / "03_three_classes.png"))

# %%
# 8. In a network, keras_actfn.callbacks.LocalCorrelation(x, y) applies the same formulas to moving
#    averages over the inputs of each PWL layer. It trains the knots during `model.fit`; the loss
#    trains the other weights.
