"""What is read back from a study is checked: Optuna's files have no checksums of their own.

Every evaluation keeps a checksum of its function, value and details. A trial that does not agree
with it, or with the pool of functions, is refused by its number before anything builds on it.
"""

import contextlib
import json
import math
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import DamagedFile
from . import claims
from .storage import is_url, place_of

if TYPE_CHECKING:
    import optuna

#: User attribute of a trial with the checksum of what it evaluated.
CHECKSUM = "checksum"

#: User attributes of a trial that change without its evaluation.
_OTHERS = (CHECKSUM, "lease", "confirmed", "ended")

_REMEDY = "Restore it from a copy, or begin again in another storage (--storage)."


def checksum(candidate: int, value: float | None, attributes: dict) -> str:
    """Checksums of an evaluation's attributes and of its value, for the attribute `CHECKSUM`.

    Args:
        candidate: The function's number.
        value: What it reached; None of one that failed or was stopped.
        attributes: The trial's user attributes.
    """
    kept = {name: content for name, content in attributes.items() if name not in _OTHERS}
    value = None if value is None else value + 0.0  # SQLite keeps no sign of zero
    texts = (json.dumps([candidate, kept], sort_keys=True), json.dumps(value))
    return "-".join(f"{zlib.crc32(text.encode()):08x}" for text in texts)


@contextlib.contextmanager
def readable(storage: Any) -> Iterator[None]:
    """Say of a storage's file that it is damaged, whatever Optuna stumbles over in it.

    Args:
        storage: As for `open_storage`; of servers and storage objects nothing is said.

    Raises:
        DamagedFile: If the file has another content than Optuna writes.
    """
    local = isinstance(storage, str | Path) and not is_url(storage)
    try:
        if local:
            _check_sqlite(Path(storage))
        yield
    except (OSError, ImportError, DamagedFile):
        raise
    except Exception as error:
        if not local or _is_ours(error) or "locked" in str(error):
            raise
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedFile(place_of(storage), problem, _REMEDY) from error


def _is_ours(error):
    """Whether this package raised an error, and not what it calls."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return type(error) is ValueError and trace.tb_frame.f_globals.get("__name__", "").startswith(
        "keras_actfn."
    )


def _check_sqlite(path):
    """Raise unless all pages of an SQLite file are in order, if it is one."""
    try:
        with open(path, "rb") as file:
            if file.read(6) != b"SQLite" and path.suffix != ".db":
                return
    except OSError:  # none yet
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            ((found, *_), *_) = db.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if "malformed" not in str(error):
            return  # locked, or on a disk that its use tells about
        found = error
    except (sqlite3.DatabaseError, UnicodeError) as error:
        found = error
    if str(found) != "ok":
        raise DamagedFile(path, " ".join(str(found).split()), _REMEDY)


def check_trials(study: "optuna.Study", storage: Any, pool: Any = None) -> None:
    """Check every trial of a study.

    Args:
        study: An Optuna study.
        storage: Where it is, as for `open_storage`.
        pool: A `Pool` or `TandemPool` whose functions the trials evaluate; None if unknown.

    Raises:
        DamagedFile: If a trial has not what an evaluation writes. It names the trial.
    """
    for number, trial in enumerate(study.get_trials(deepcopy=False)):
        problem = f"it has the number {trial.number}" if trial.number != number else None
        problem = problem or _problem(trial, pool)
        if problem:
            raise DamagedFile(
                place_of(storage),
                f"trial {number} of the study '{study.study_name}': {problem}",
                _REMEDY,
            )


def _problem(trial, pool):
    """What is wrong with a trial, or None."""
    attributes, state = trial.user_attrs, trial.state.name
    lease = attributes.get("lease", {"machine": "", "process": 0, "until": 0.0})
    kinds = {"machine": str, "process": int, "until": float | int}
    if not isinstance(lease, dict) or not all(
        isinstance(lease.get(name), kind) for name, kind in kinds.items()
    ):
        return f"its lease is {lease!r}"
    if state == "FAIL" and trial.values is not None:
        return f"it has failed and has the value {trial.values[0]}"
    candidate, kept = trial.params.get(claims.CANDIDATE), attributes.get(CHECKSUM)
    if kept is not None:
        value = trial.value if state == "COMPLETE" else None
        found = checksum(candidate, value, attributes)
        # A trial whose worker was killed before it had told the value has failed without one.
        length = None if claims.is_evaluated(trial) else found.index("-")
        if not isinstance(kept, str) or kept[:length] != found[:length]:
            return f"its checksum is {kept}, not {found}"
    if not claims.is_evaluated(trial) or candidate is None:
        return None
    if not isinstance(candidate, int) or (pool is not None and not pool.holds([candidate])[0]):
        return f"its function has the number {candidate}"
    if state == "COMPLETE" and not math.isfinite(trial.value):
        return f"its value is {trial.value}"
    expression = attributes.get("expression")
    if not isinstance(expression, str):
        return f"its expression is {expression!r}"
    return None if pool is None else _of_pool(candidate, expression, pool)


def _of_pool(candidate, expression, pool):
    """What is wrong with an expression that is to have a number in a pool, or None."""
    if expression == str(pool.expression(candidate)):
        return None
    try:
        number = pool.find(expression)
    except ValueError:
        return f"its expression {expression!r} is none of the space's"
    return None if number == candidate else f"function {candidate} is not {expression}"
