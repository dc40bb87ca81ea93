"""What a Gaussian process's prediction is worth: expected improvement."""

import numpy as np

from .._optional import require


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Expected improvement over the best value so far, E max(0, Y - best), Y normal.

        (mean - best) Φ(z) + deviation φ(z),  z = (mean - best) / deviation

    (Mockus, 1974; Jones, Schonlau and Welch, 1998, equation 15.)

    Args:
        mean: Predicted means, (candidates,).
        deviation: Their standard deviations, (candidates,), at least 0.
        best: The best value so far.

    Returns:
        (candidates,), at least 0.

    Example:
    ```python
    expected_improvement([0.5], [0.0], best=0.2)  # [0.3]
    ```
    """
    special = require("scipy.special", extra="search")
    gain = np.asarray(mean, "float64") - best
    deviation = np.maximum(deviation, 1e-12)
    z = gain / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.maximum(gain * special.ndtr(z) + deviation * density, 0.0)
