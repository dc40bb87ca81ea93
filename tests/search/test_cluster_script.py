"""The SLURM script of docs/cluster.md, run by bash with the variables that SLURM sets."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import ANY_BACKEND

from keras_actfn.cli import main

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
#: A search of seconds in place of the page's own.
TINY = {
    "--model kerasnet --data fashion_mnist": "--model mlp --data arrays.npz --batch-size 16",
    "--evaluations 64": "--evaluations 5 --space 'unary(x)' --probe 3 --embedding pca --seeds 0"
    " --from-scratch",
}


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A folder with the script, data, and commands of its own; a function that starts a task."""
    (script,) = re.findall(r"```sh\n(#!/bin/sh\n#SBATCH.*?)```", PAGE.read_text("utf-8"), re.S)
    for old, new in TINY.items():
        assert script.count(old) == 1
        script = script.replace(old, new)
    (tmp_path / "job.sh").write_text(script)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 2
    np.savez(tmp_path / "arrays.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    commands = {
        "keras-actfn": f"#!{sys.executable}\nfrom keras_actfn.cli import main\n"
        "raise SystemExit(main())\n",
        "sleep": "#!/bin/sh\nexec /bin/sleep 3\n",
    }
    for name, text in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path)

    def start(task):
        slurm = {
            "SLURM_JOB_ID": str(71 + task),
            "SLURM_ARRAY_JOB_ID": "71",
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": "8",
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": "7",
            "SLURM_CPUS_PER_TASK": "4",
            "SLURM_SUBMIT_DIR": str(tmp_path),
        }
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**ANY_BACKEND, **slurm, "PATH": path}
        return subprocess.Popen(
            ["bash", "job.sh"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_an_array_whose_first_task_comes_last(job, capsys):
    tasks = [job(3), job(0)]
    errors = [task.communicate()[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], errors
    assert main(["search", "status", "--storage", "search.log", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["evaluations"], found["asked"]) == ("fashion", 5, 5)
