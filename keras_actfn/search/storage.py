"""Where a search lives: an Optuna storage, and a study that knows what it searches.

| storage | for |
|---|---|
| a file `….db` or `….sqlite` | SQLite; processes on one machine |
| a file `….log` or `….journal` | Optuna's journal; several processes or machines on a shared disk |
| a URL, as `postgresql://…` | a database server; a cluster |
| an `optuna.storages.BaseStorage` | itself |
"""

import contextlib
import json
import os
import time
import uuid
from pathlib import Path

from .._optional import require
from .._version import __version__

#: Key of the study's user attribute with what it searches.
RECORD = "keras_actfn"
#: Version of what trials and studies hold.
FORMAT = 1

_SQLITE = (".db", ".sqlite", ".sqlite3")
_JOURNAL = (".log", ".journal")


def open_storage(storage):
    """An Optuna storage from a file's path, a URL or a storage.

    Args:
        storage: As in the table above.

    Returns:
        An `optuna.storages.BaseStorage`.

    Raises:
        ValueError: If it is a file of another kind.
        ImportError: If a library is missing.
    """
    require("optuna", extra="search")
    import optuna

    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    text = str(storage)
    if "://" in text:
        return _open_url(text)
    path = Path(text).absolute()
    if path.suffix not in (*_SQLITE, *_JOURNAL):
        raise ValueError(
            f"A storage is a file ending in {', '.join((*_SQLITE, *_JOURNAL))}, a URL such as "
            f"postgresql://host/name, or an Optuna storage. Received: {storage!r}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in _JOURNAL:
        from optuna.storages.journal import JournalFileBackend

        return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    return _open_url(f"sqlite:///{path}")


def _make_sqlite(path):
    """Make an SQLite file, if there is none, that has all of Optuna's tables at once.

    Optuna makes the tables one by one, which a kill or a second worker of the same moment can
    leave half-done. So they are made in a file of another name, which then gets this one.
    """
    import optuna

    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        optuna.storages.RDBStorage(f"sqlite:///{draft}").engine.dispose()
        with contextlib.suppress(OSError):  # another worker was first, or no hard links here
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _open_url(url, attempts=5):
    """Optuna's storage at a URL, where workers of one moment want to make the same tables.

    On a server all but one of them fail. When they try again, the tables are there.
    """
    import optuna
    from sqlalchemy import make_url
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    file = make_url(url).database if url.startswith("sqlite") else None
    if file and not file.startswith((":", "file:")):  # neither in memory nor with options
        _make_sqlite(Path(file))
    if url.startswith("postgresql:"):
        # SQLAlchemy takes psycopg2 before its version 2.1, and psycopg from there on.
        url = url.replace("postgresql:", "postgresql+psycopg:", 1)
    if url.startswith("postgresql+psycopg:"):
        require("psycopg", extra="postgresql")
    for attempt in range(1, attempts + 1):
        try:
            return optuna.storages.get_storage(url)
        except (IntegrityError, ProgrammingError):
            if attempt == attempts:
                raise
            time.sleep(0.2 * attempt)


def folder_of(storage, study):
    """The folder for what belongs to a search beside its trials: next to a storage's file.

    Args:
        storage: As for `open_storage`.
        study: The study's name.
    """
    text = str(storage)
    if isinstance(storage, str | Path) and "://" not in text:
        path = Path(text)
        return path.with_name(study if path.stem == study else f"{path.stem}-{study}")
    return Path("runs/search") / study


def open_study(storage, name, record, sampler=None, pruner=None):
    """The study of this name, made if it is not there; it must search what `record` says.

    Args:
        storage: From `open_storage`.
        name: Name of the study.
        record: What decides the meaning of its trials, for JSON.
        sampler: An Optuna sampler.
        pruner: An Optuna pruner; None for none.

    Returns:
        An `optuna.Study` that maximises.

    Raises:
        ValueError: If a study of this name searches something else, or was made by an
            incompatible version or another program.
    """
    import optuna

    record = json.loads(json.dumps({"format": FORMAT, **record}))
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    found = study.user_attrs.get(RECORD)
    if found is None and study.get_trials(deepcopy=False):
        found = study.user_attrs.get(RECORD)  # another worker has just begun the study
        if found is None:
            raise ValueError(
                f"The study '{name}' has trials of another program. Choose another name "
                "(--study) or another storage."
            )
    if found is None:
        study.set_user_attr(RECORD, {**record, "version": __version__})
        return study
    differing = [key for key in record if found.get(key) != record[key]]
    if differing:
        shown = "; ".join(
            f"{key} is {_short(found.get(key))} there and {_short(record[key])} here"
            for key in differing
        )
        raise ValueError(
            f"A study goes on with what it began with. The study '{name}' differs: {shown}. Use "
            "the same settings, or another name (--study) or storage."
        )
    return study


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
