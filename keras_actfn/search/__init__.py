"""Search for the activation function that a model should use on its data."""
