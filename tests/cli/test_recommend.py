"""`keras-actfn recommend`: functions for a model, without any training."""

import json

import pytest

from keras_actfn.cli import main

pytestmark = pytest.mark.once


def test_functions_for_a_model(small_model, capsys):
    words = ["recommend", "--model", "small_model:build", "--data", "digits", "--image-size", "8"]
    words += ["--functions", "2", "--batch-size", "16"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["functions"][0]["gain"]["mean"] >= 0 and found["level"] == 0.9
    assert main(words) == 0
    out = capsys.readouterr().out
    best = found["functions"][0]["expression"]
    assert f'keras_actfn.activation("{best}")' in out and "expected gain" in out
    assert main([*words, "--leave-out", "fashion"]) == 1
    assert "Received: 'fashion'" in capsys.readouterr().err
