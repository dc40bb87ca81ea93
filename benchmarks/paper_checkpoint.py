"""The state of a long run after each epoch, so that a stopped run goes on where it was."""

import json

import keras
import numpy as np

from keras_actfn._files import DamagedFile, read_npz, warn_made_again, write_npz


class Checkpoint:
    """The state of a run after its last epoch, as a file.

    Args:
        path: The file.
        settings: What the run is, for JSON; a file of other settings is passed over.
    """

    def __init__(self, path, settings):
        self.path, self._settings = path, settings

    def save(self, network, accuracies, best, weights, seconds):
        """Write the variables of model and optimizer, and the weights of the best epoch."""
        progress = {
            "settings": self._settings,
            "accuracies": accuracies,
            "best": best,
            "seconds": seconds,
        }
        text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
        write_npz(self.path, progress=text, **dict(self._arrays(network)), **_numbered(weights))

    def load(self, network):
        """Set the network to what the file holds; return accuracies, best, weights and seconds.

        Without a file of these settings: no accuracies, and the weights that the network has.
        """
        weights = network.trained.get_weights()
        try:
            arrays = read_npz(self.path, "")
        except FileNotFoundError:
            return [], 0, weights, 0.0
        except DamagedFile as error:
            warn_made_again(error)
            return [], 0, weights, 0.0
        progress = json.loads(arrays["progress"].tobytes())
        if progress["settings"] != self._settings:
            return [], 0, weights, 0.0
        for name, variable in self._variables(network):
            variable.assign(arrays[name])
        weights = [arrays[name] for name in _numbered(weights)]
        return progress["accuracies"], progress["best"], weights, progress["seconds"]

    @staticmethod
    def _variables(network):
        parts = {"model": network.trained, "optimizer": network.trained.optimizer}
        for part, owner in parts.items():
            for number, variable in enumerate(owner.variables):
                yield f"{part}_{number}", variable

    def _arrays(self, network):
        for name, variable in self._variables(network):
            yield name, keras.ops.convert_to_numpy(variable)


def _numbered(weights):
    return {f"best_{number}": value for number, value in enumerate(weights)}
