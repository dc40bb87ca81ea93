"""The built wheel, in an empty environment outside the repository, trains one step."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import keras
import pytest

import keras_actfn

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]

STEP = """
import keras, keras_actfn, numpy as np
from keras_actfn.applications import LeNet5

assert "site-packages" in keras_actfn.__file__, keras_actfn.__file__
model = LeNet5(activation="aff(identity,relu,tanh)")
model.compile("adam", "sparse_categorical_crossentropy")
rng = np.random.default_rng(0)
loss = model.train_on_batch(rng.normal(size=(8, 28, 28, 1)), np.arange(8) % 10)
assert np.isfinite(loss)
print("trained", keras_actfn.__version__)
"""


def test_the_package_says_that_it_has_types():
    """The tests import the wheel's content, so the marker file is in it."""
    assert (Path(keras_actfn.__file__).parent / "py.typed").is_file()


def test_wheel_trains_in_an_empty_environment(tmp_path):
    wheels = sorted(ROOT.glob("dist/*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
        subprocess.run([*command, ROOT], check=True, capture_output=True)
        wheels = sorted(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    constraints = ROOT / "requirements" / "constraints.txt"
    install = [*pip, "install", "-q", "--no-compile", "-c", constraints, f"{wheels[-1]}[jax]"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    installed = subprocess.run(install, env=environment, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr[-2000:]
    listed = subprocess.run(
        [*pip, "list"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "tensorflow" not in listed
    assert "typer" not in listed
    process = subprocess.run(
        [python, "-c", STEP],
        cwd=tmp_path,
        env={**environment, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.startswith("trained ")
    assert keras.__version__ in listed
