"""What shape should an activation have?
=====================================

A unit sees inputs whose distribution depends on the class. Which function of the input
correlates best with the classes? For Gaussian classes the answer can be computed exactly.

    python tutorials/03_what_shape_should_an_activation_have.py

Takes a few seconds. The figures go to runs/tutorials/03_*.png.
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
# 1. The setting. Twenty classes; the input of the unit is normal in each, with means spread
#    evenly over [-3, 3] and standard deviation 1. f is piecewise linear with 33 knots.
mixture = GaussianMixture(means=np.linspace(-3, 3, 20), std=1.0)
knots = np.linspace(-3, 3, 33)
objective = CorrelationObjective(mixture, knots, extrapolation="linear")

# %%
# 2. The objective. rho_k is the correlation of f(x) with "the class is k"; L adds the squares
#    of negative ones and subtracts those of positive ones. Smaller is better.
relu = np.maximum(knots, 0)
print("correlations of ReLU with the classes:")
print(np.round(objective.correlations(relu), 3))
print(f"L of ReLU: {objective.value(relu):.6f}")

# %%
# 3. The optimum, exactly, in milliseconds. Gradient descent, which the paper uses, comes
#    to the same place in 500 steps.
best = objective.optimum()
trained = objective.train(method="adam", data="analytic", steps=500)
print(f"L of the exact optimum: {best.objective:.8f}")
print(f"L that Adam finds:      {trained.objective:.8f}")

# %%
# 4. No function at all does better than this one, which is bounded. Swish is not: it can be
#    close to the best, but never is the best.
everything = UnrestrictedOptimum(mixture)
print(f"L of the best of all functions: {everything.objective:.8f}")

# %%
# 5. What is it called? Always compare: a high R² alone says little, since several families
#    have one.
shapes = compare_shapes(knots, best.values, mirrored=False)
print(f"\n{shapes}\n")
figure = draw_derived(derived_correlation(objective, best.values, shapes, everything))
print("figure:", save_figure(figure, folder / "03_twenty_classes.png"))

# %%
# 6. The shape follows the statistics: well-separated classes and a clamped f give another one.
for sigma in (0.6, 1.0):
    for extension in ("clamp", "linear"):
        case = CorrelationObjective(GaussianMixture(mixture.means, sigma), knots, extension)
        swish = compare_shapes(knots, case.optimum().values, mirrored=False)["swish"]
        print(
            f"sigma {sigma}, {extension:>6}: L = {case.optimum().objective:.4f}, "
            f"Swish fit beta {swish.beta:.2f}, x0 {swish.x0:.2f}, R2 {swish.r2:.4f}"
        )

# %%
# 7. Two classes are special: rho_2 = -rho_1, so L is zero whatever f is. The library says so
#    instead of returning the function that training happened to start from.
pair = GaussianMixture([-1.0, 1.0], 1.0)
try:
    CorrelationObjective(pair, knots).optimum()
except ValueError as error:
    print(f"\ntwo classes: {error}")

# %%
#    What one can ask for is the largest rho_2, and that is a sigmoid: the posterior.
two = two_class_optimum(pair, knots, "clamp")
print(f"largest rho_2: {two.correlation:.6f}, sigmoid of slope {two.slope:.2f}")
print(compare_shapes(knots, two.values, mirrored=False))

# %%
#    Three classes, apart by three standard deviations, already give a ramp again.
three = CorrelationObjective(GaussianMixture([-3, 0, 3], 1.0), knots, "clamp")
figure = draw_derived(derived_correlation(three, three.optimum().values))
print("figure:", save_figure(figure, folder / "03_three_classes.png"))

# %%
# 8. Inside a network the same algebra runs on averages of what reaches the layer:
#    keras_actfn.callbacks.LocalCorrelation(x, y) trains the knots of every PWL layer this way
#    during `model.fit`, while the loss trains the rest.
