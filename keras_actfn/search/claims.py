"""No function twice: how workers that share nothing but an Optuna storage claim functions.

Optuna's storages have no operation that takes a function if nobody else has. What all of
them have is that a write is seen by every later read. A worker therefore first *announces*:
it makes a trial and sets its parameter `candidate`. Then it reads all trials:

* if the function has a finished or confirmed trial, the worker yields;
* if a trial with a lower number announced it too, the worker yields;
* if a trial with a higher number announced it too, the worker waits until that one has
  yielded, confirmed or expired;
* if nobody else has, it *confirms* and evaluates.

Of two announcements at least one is seen by the other worker, and the lower number never
confirms while the higher is undecided: no two trials of one function are confirmed.

A trial in progress has a *lease* that its worker renews. When the lease has expired, or its
process is known to be dead, anyone may fail the trial, and its function is free again. Only
one end of a trial is recorded: a worker that comes back late finds its trial failed.
"""

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

#: Seconds for which a lease is valid; it is renewed three times in this period. Clocks of
#: machines that share a storage must agree to within a part of it.
LEASE_SECONDS = 120.0

#: Name of the trials' parameter, an integer.
CANDIDATE = "candidate"


def identity():
    """What tells this process from others: the machine's boot, the process space, the number."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return {"machine": "/".join(parts), "process": os.getpid()}


def is_alive(trial, now=None):
    """Whether the worker of a running trial can still be at work.

    Args:
        trial: An `optuna.trial.FrozenTrial`.
        now: Seconds since the epoch; the present if None.
    """
    now = time.time() if now is None else now
    lease = trial.user_attrs.get("lease")
    if lease is None:  # killed between the trial's making and its lease, or not yet there
        return now - trial.datetime_start.timestamp() < LEASE_SECONDS
    here = identity()
    if lease["machine"] == here["machine"] and not _process_exists(lease["process"]):
        return False
    return now < lease["until"]


def _process_exists(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def release_expired(study):
    """Fail the running trials whose worker is gone; their functions are free again.

    Returns:
        How many there were.
    """
    import optuna

    count = 0
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if is_alive(trial):
            continue
        try:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            continue  # its worker, or another, was quicker
        count += 1
    return count


def evaluated():
    """The states of a trial whose function was evaluated: to the end, or until a pruner's stop."""
    from optuna.trial import TrialState

    return TrialState.COMPLETE, TrialState.PRUNED


def in_use(trials):
    """The trials that hold a function: evaluated ones, and running ones whose worker lives."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in trials
        if trial.state in evaluated() or (trial.state == TrialState.RUNNING and is_alive(trial))
    ]


def confirm(study, trial, evaluations=None, wait=0.05):
    """Confirm an announced trial, or tell that it must yield.

    Args:
        study: The study.
        trial: An `optuna.Trial` whose parameter `candidate` is set.
        evaluations: How many evaluations the study shall have: a trial with so many others
            of lower number before it yields. None for any number.
        wait: Seconds between two looks at an undecided rival.

    Returns:
        Whether the trial is confirmed; if not, the caller ends it as failed.
    """
    candidate = trial.params[CANDIDATE]
    while True:
        others = [
            other
            for other in in_use(study.get_trials(deepcopy=False))
            if other.number != trial.number
        ]
        before = sum(other.number < trial.number for other in others)
        if evaluations is not None and before >= evaluations:
            return False
        rivals = [other for other in others if other.params.get(CANDIDATE) == candidate]
        if any(
            other.state in evaluated()
            or other.user_attrs.get("confirmed")
            or other.number < trial.number
            for other in rivals
        ):
            return False
        if not rivals:
            trial.set_user_attr("confirmed", True)
            return True
        time.sleep(wait)


class Lease:
    """Keeps a trial's lease valid from a thread, while its worker evaluates.

    Args:
        trial: An `optuna.Trial`.
        seconds: For how long a lease is valid.

    Example:
    ```python
    with Lease(trial):
        value = objective(candidate)
    ```
    """

    def __init__(self, trial, seconds=LEASE_SECONDS):
        self._trial = trial
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self):
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()

    def _write(self):
        self._trial.set_user_attr("lease", {**identity(), "until": time.time() + self._seconds})

    def _renew(self):
        while not self._stop.wait(self._seconds / 3):
            try:
                self._write()
            except Exception:
                # The trial was ended by others, or the storage cannot be reached just now.
                # If it stays so, the lease expires, which is what it is for.
                continue
