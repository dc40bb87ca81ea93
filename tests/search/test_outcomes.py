"""No process of joblib's is left when work is interrupted."""

import os
import time

import joblib
import pytest

from keras_actfn.search.outcomes import outcomes

pytestmark = pytest.mark.once


def is_running(process):
    """Whether a process runs; one that is gone but not waited for does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.filterwarnings("error")
def test_an_interrupt_ends_the_processes():
    jobs = [joblib.delayed(os.getpid)(), *(joblib.delayed(time.sleep)(600) for _ in range(3))]
    with pytest.raises(KeyboardInterrupt), outcomes(jobs, workers=2) as results:
        process = next(results)
        assert is_running(process)
        raise KeyboardInterrupt
    assert not is_running(process)


def test_results_come_as_they_are_ready():
    with outcomes((joblib.delayed(abs)(-n) for n in range(3)), workers=2) as results:
        assert sorted(results) == [0, 1, 2]
