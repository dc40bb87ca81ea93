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
import re
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from .._drafts import make_folder
from .._optional import require
from .._secrets import masked
from .._version import __version__
from .journal import Journal

if TYPE_CHECKING:
    import optuna
else:
    optuna = require("optuna", extra="search")
sqlalchemy = require("sqlalchemy", extra="search")

#: Key of the study's user attribute with what it searches.
RECORD = "keras_actfn"
#: Version of what trials and studies hold.
FORMAT = 3

_SQLITE = (".db", ".sqlite", ".sqlite3")
_JOURNAL = (".log", ".journal")
_ANOTHER = "Or choose another name, study=… (--study), or another storage."


def open_storage(
    storage: "str | os.PathLike | optuna.storages.BaseStorage",
) -> "optuna.storages.BaseStorage":
    """An Optuna storage from a file's path, a URL or a storage.

    A text is a URL if it begins like one (`name://`), else the path of a file, whatever
    characters it has. A password in a URL is shown in no message.

    Args:
        storage: As in the table above.

    Returns:
        An `optuna.storages.BaseStorage`.

    Raises:
        ValueError: If it is a file of another kind, or a URL that cannot be read.
        ImportError: If a library is missing.
    """
    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    if is_url(storage):
        return _open_url(str(storage))
    path = Path(storage).absolute()
    if not str(storage) or path.suffix not in (*_SQLITE, *_JOURNAL):
        raise ValueError(
            f"A storage is a file ending in {', '.join((*_SQLITE, *_JOURNAL))}, a URL such as "
            f"postgresql://host/name, or an Optuna storage. Received: {str(storage)!r}."
        )
    if path.is_dir():
        raise ValueError(
            f"A storage is a file. Received: {str(storage)!r}, which is a folder. Name a file in "
            f"it: {str(Path(storage) / 'search.db')!r}."
        )
    make_folder(path.parent)
    if path.suffix in _JOURNAL:
        return optuna.storages.JournalStorage(Journal(path))
    _make_sqlite(path)
    return _connect(_sqlite_url(path))


def is_url(storage: object) -> bool:
    """Whether a storage is given by a URL, not by a file's path."""
    return isinstance(storage, str) and bool(re.match(r"[A-Za-z][\w+.\-]*://", storage))


def _sqlite_url(path):
    """The URL of an SQLite file, whatever characters its path has."""
    # SQLite's own URI quotes them all, so that SQLAlchemy and Optuna find none to interpret.
    url = sqlalchemy.URL.create("sqlite", database=path.as_uri(), query={"uri": "true"})
    return url.render_as_string()


def _make_sqlite(path):
    """Make an SQLite file, if there is none, that has all of Optuna's tables at once.

    Optuna makes the tables one by one, which a kill or a second worker of the same moment can
    leave half-done. So they are made in a file of another name, which then gets this one.
    """
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        optuna.storages.RDBStorage(_sqlite_url(draft)).engine.dispose()
        with contextlib.suppress(OSError):  # another worker was first, or no hard links here
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _open_url(url):
    """Optuna's storage at a URL."""
    try:
        parts = sqlalchemy.make_url(url)
        file = parts.database if parts.get_backend_name() == "sqlite" else None
        if file is None and "@" in f"{parts.host}{parts.database}":
            raise ValueError  # the password's second part is taken for the host
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # Its message may hold a part of the password, so it is not passed on.
        raise ValueError(
            "A storage's URL is dialect://user:password@host:port/name, where special characters "
            f"of the password are percent-encoded. Received: {masked(url)}."
        ) from None
    if file and not file.startswith((":", "file:")):  # neither in memory nor with options
        make_folder(Path(file).absolute().parent)
        _make_sqlite(Path(file).absolute())
    if url.startswith("postgresql:"):
        # SQLAlchemy takes psycopg2 before its version 2.1, and psycopg from there on.
        url = url.replace("postgresql:", "postgresql+psycopg:", 1)
    if url.startswith("postgresql+psycopg:"):
        require("psycopg", extra="postgresql")
    return _connect(url)


def _connect(url, attempts=5):
    """Optuna's storage, where workers of one moment want to make the same tables.

    On a server all but one of them fail. When they try again, the tables are there.
    """
    for attempt in range(1, attempts + 1):
        try:
            return optuna.storages.get_storage(url)
        except sqlalchemy.exc.NoSuchModuleError:
            raise ValueError(
                "A storage's URL begins with a database that SQLAlchemy knows, such as "
                f"sqlite:// or postgresql://. Received: {masked(url)}."
            ) from None
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            if attempt == attempts:
                raise
            time.sleep(0.2 * attempt)


def place_of(storage: object) -> str:
    """Where a storage is, for messages: a path, a URL without its password, or a class."""
    return masked(storage) if isinstance(storage, str | os.PathLike) else type(storage).__name__


def on_disk(storage: object) -> Path | None:
    """The file of a storage given by a path or an SQLite URL; None for all others."""
    if not isinstance(storage, str | os.PathLike):
        return None
    if not is_url(storage):
        return Path(storage)
    with contextlib.suppress(sqlalchemy.exc.ArgumentError, ValueError):
        parts = sqlalchemy.make_url(str(storage))
        file = parts.database if parts.get_backend_name() == "sqlite" else None
        if file and not file.startswith((":", "file:")):
            return Path(file)
    return None


def file_of(study: str) -> Path:
    """The storage of a study where nobody names one: a file of its name in `runs/search`.

    Raises:
        ValueError: If the study has no name.
    """
    if not study:
        raise ValueError("A study has a name, or None for one of its own. Received: ''.")
    return Path("runs/search") / f"{_file_name(study)}.db"


def folder_of(storage: object, study: str) -> Path:
    """The folder for what belongs to a search beside its trials: next to a storage's file.

    Args:
        storage: As for `open_storage`.
        study: The study's name; characters that a folder's name cannot have are percent-encoded.
    """
    name = _file_name(study)
    if isinstance(storage, str | os.PathLike) and not is_url(storage):
        path = Path(storage)
        return path.with_name(name if path.stem == name else f"{path.stem}-{name}")
    return Path("runs/search") / name


def _file_name(study):
    """A study's name as that of a file: characters that one cannot have are percent-encoded."""
    quote = {ord(character): f"%{ord(character):02X}" for character in '/\\:*?"<>|%\0\n'}
    name = study.translate(quote)
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def open_study(
    storage: "optuna.storages.BaseStorage",
    name: str,
    record: dict,
    sampler: "optuna.samplers.BaseSampler | None" = None,
    pruner: "optuna.pruners.BasePruner | None" = None,
    about: dict | None = None,
    mode: str = "max",
    place: object = None,
) -> "optuna.Study":
    """The study of this name, made if it is not there; it must search what `record` says.

    Args:
        storage: From `open_storage`.
        name: Name of the study.
        record: What decides the meaning of its trials, for JSON.
        sampler: An Optuna sampler.
        pruner: An Optuna pruner; None for none.
        about: What people want to know of it, for JSON; it is kept where the study begins.
        mode: `"max"` or `"min"`: whether more or less of a trial's value is better.
        place: The storage as it was given, for messages.

    Returns:
        An `optuna.Study` of that direction.

    Raises:
        ValueError: If a study of this name searches something else or in another direction, or was
            made by an incompatible version or another program.
    """
    record = json.loads(json.dumps({"format": FORMAT, "study": name, **record}))
    title = f"the study '{name}'" + (f" in {place_of(place)}" if place else "")
    for other in storage.get_all_studies():
        began = other.user_attrs.get(RECORD)
        if isinstance(began, dict) and began.get("study") == name != other.study_name:
            raise ValueError(
                f"A study keeps its name. Received: {title}, which is called "
                f"'{other.study_name}' now: the storage was damaged. Restore it from a copy. "
                f"{_ANOTHER}"
            )
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction=f"{mode}imize",
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    if study.directions != [optuna.study.StudyDirection[f"{mode}imize".upper()]]:
        directions = ", ".join(direction.name.lower() for direction in study.directions)
        raise ValueError(
            f"A search has one value, and mode='{mode}' makes it {mode}imize it. Received: "
            f"{title}, made with the directions: {directions}. {_ANOTHER}"
        )
    found = study.user_attrs.get(RECORD)
    if found is None and study.get_trials(deepcopy=False):
        found = study.user_attrs.get(RECORD)  # another worker has just begun the study
        if found is None:
            raise ValueError(
                f"A search goes on with its own trials. Received: {title}, which has trials of "
                f"another program. {_ANOTHER}"
            )
    if found is None:
        about = {"about": about} if about else {}
        study.set_user_attr(RECORD, {**record, **about, "version": __version__})
        return study
    if not isinstance(found, dict):
        raise ValueError(
            f"A study keeps what it searches. Received: {title}, where this is {_short(found)}: "
            f"the storage was damaged. Restore it from a copy. {_ANOTHER}"
        )
    differing = [key for key in record if found.get(key) != record[key]]
    if differing:
        shown = "; ".join(
            f"{key} is {_short(found.get(key))} there and {_short(record[key])} here"
            for key in differing
        )
        raise ValueError(
            f"A study goes on with what it began with. T{title[1:]} differs: {shown}. Use the "
            f"same settings. {_ANOTHER}"
        )
    return study


def study_named(
    storage: "str | os.PathLike | optuna.storages.BaseStorage", name: str | None
) -> "optuna.Study":
    """A search's study that is there already; without a name, the only one in the storage.

    Args:
        storage: As for `open_storage`; a file that is not there is not made.
        name: Its name, or None.

    Raises:
        ValueError: If there is no such storage or study, or none was named and there are several.
    """
    place = place_of(storage)
    in_file = isinstance(storage, str | os.PathLike) and not is_url(storage)
    if in_file and not Path(str(storage)).is_file():
        raise ValueError(f"A search to join has a storage. Received: no file {place}.")
    storage = open_storage(storage)
    names = optuna.get_all_study_names(storage)
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        asked = "A study is named where a storage has several" if name is None else ""
        asked = asked or f"There is no study '{name}' in {place}"
        raise ValueError(f"{asked}. There are: {', '.join(sorted(names)) or 'none'} (--study).")
    return optuna.load_study(study_name=name, storage=storage)


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
