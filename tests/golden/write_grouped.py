"""Write `grouped.keras` and `grouped.npz` for `tests/training/test_parameter_groups.py`.

Run in the folder of that test:

    KERAS_BACKEND=torch PYTHONPATH=. python ../golden/write_grouped.py
"""

import numpy as np
from test_parameter_groups import GOLDEN, SAVED, nested, train, values


def main():
    """Train two epochs, save, train two more, and keep the weights."""
    model = nested("conv(identity,relu,tanh)")
    model.compile(SAVED["three"](model), "mse")
    train(model, 2)
    model.save(GOLDEN / "grouped.keras")
    train(model, 2)
    np.savez(GOLDEN / "grouped.npz", **{str(i): v for i, v in enumerate(values(model.weights))})


if __name__ == "__main__":
    main()
