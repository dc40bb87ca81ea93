"""`keras-actfn probe`."""

import json

import numpy as np
import pytest

from keras_actfn.cli import main
from keras_actfn.fisher import FisherSpectrum

pytestmark = pytest.mark.once


def test_probe(tmp_path, capsys):
    words = ["probe", "--model", "lenet5", "--data", "digits", "--batch-size", "4"]
    words += ["--activations", "relu", "tanh", "--output", str(tmp_path)]
    assert main([*words, "--mode", "sampled", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["relu", "tanh"]
    loaded = FisherSpectrum.load(tmp_path / "00-relu.npz")
    assert list(found["relu"]["layers"]) == loaded.layers
    np.testing.assert_allclose(found["relu"]["network"]["trace"], loaded.summary()["trace"])
    other = FisherSpectrum.load(tmp_path / "01-tanh.npz")
    np.testing.assert_allclose(found["tanh"]["distance"], loaded.distance(other))
    assert (tmp_path / "spectra.png").stat().st_size > 0

    assert main([*words[:-5], "--activation", "relu", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in [*loaded.layers, "effective rank", "valid"])


def test_errors_are_one_line(tmp_path, capsys):
    words = ["probe", "--data", "digits", "--batch-size", "4", "--output", str(tmp_path)]
    assert main([*words, "--mode", "bad"]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("keras-actfn: mode must be one of") and "\n" not in error
