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
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import optuna

#: Seconds for which a lease is valid; it is renewed three times in this period. Clocks of
#: machines that share a storage must agree to within a part of it.
LEASE_SECONDS = 120.0

#: Name of the trials' parameter, an integer.
CANDIDATE = "candidate"

#: User attribute of a trial: true if its function was evaluated and failed. Such a trial has
#: Optuna's state FAIL and no value, so that no number stands for a failure.
DIVERGED = "diverged"


def identity() -> dict[str, str | int]:
    """What tells this process from others: the machine's boot, the process space, the number."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return {"machine": "/".join(parts), "process": os.getpid()}


def is_alive(trial: "optuna.trial.FrozenTrial", now: float | None = None) -> bool:
    """Whether the worker of a running trial can still be at work.

    Args:
        trial: An `optuna.trial.FrozenTrial`.
        now: Seconds since the epoch; the present if None.
    """
    now = time.time() if now is None else now
    lease = trial.user_attrs.get("lease")
    if lease is None:  # enqueued by another program and taken just now, or its worker was killed
        return now - trial.datetime_start.timestamp() < LEASE_SECONDS
    here = identity()
    if lease["machine"] == here["machine"] and not _process_exists(lease["process"]):
        return False
    return now < lease["until"]


def _process_exists(number):
    """Whether a process runs; one that has ended does not, though its parent has not yet looked."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    with contextlib.suppress(OSError, IndexError):  # Linux: "number (name) state …"
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0] not in ("Z", "X")
    return True


def ask(study: "optuna.Study") -> "optuna.Trial":
    """Begin a trial that has its lease from the start, whenever this process is killed.

    A trial that waits in the study's queue (`study.enqueue_trial`) is taken first.
    """
    import optuna

    states = optuna.trial.TrialState
    token = uuid.uuid4().hex
    lease = {**identity(), "until": time.time() + LEASE_SECONDS, "token": token}
    for waiting in study.get_trials(deepcopy=False, states=(states.WAITING,)):
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            # Of two workers one takes the trial, and writes its own lease next.
            study._storage.set_trial_user_attr(waiting._trial_id, "lease", lease)
        return study.ask()
    study.add_trial(optuna.create_trial(state=states.RUNNING, user_attrs={"lease": lease}))
    for trial in reversed(study.get_trials(deepcopy=False, states=(states.RUNNING,))):
        if trial.user_attrs.get("lease", {}).get("token") == token:
            return optuna.Trial(study, trial._trial_id)
    raise RuntimeError("A trial that was just begun is not in the study: another program ended it.")


def release_expired(study: "optuna.Study") -> int:
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


def is_evaluated(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether a trial's function was evaluated: to the end, until a pruner's stop, or in vain."""
    from optuna.trial import TrialState

    if trial.state == TrialState.FAIL:
        return has_failed(trial)
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def has_failed(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether the evaluation of a trial's function failed; it is not made again."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get(DIVERGED))


def in_use(trials: Iterable["optuna.trial.FrozenTrial"]) -> list["optuna.trial.FrozenTrial"]:
    """The trials that hold a function: evaluated ones, and running ones whose worker lives."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in trials
        if is_evaluated(trial) or (trial.state == TrialState.RUNNING and is_alive(trial))
    ]


def confirm(
    study: "optuna.Study",
    trial: "optuna.Trial",
    evaluations: int | None = None,
    wait: float = 0.05,
) -> bool:
    """Confirm an announced trial, or tell that it must yield.

    Args:
        study: The study.
        trial: An `optuna.Trial` whose parameter `candidate` is set.
        evaluations: How many evaluations the study has in the end: a trial with this many others
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
            is_evaluated(other) or other.user_attrs.get("confirmed") or other.number < trial.number
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
    import optuna

    trial = optuna.create_study().ask()
    with Lease(trial):
        value = float(np.square(0.5))  # the evaluation
    ```
    """

    def __init__(self, trial: "optuna.Trial", seconds: float = LEASE_SECONDS) -> None:
        self._trial = trial
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
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
