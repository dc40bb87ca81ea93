"""The functions that joined a search on the way, as its study keeps them.

Each group that joins is a user attribute of the study with a checksum. Its name is made of what was
known when it was proposed: a search that was killed finds the group again instead of another one,
and of workers that know the same all write the same.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._files import DamagedFile, checksum
from ..expressions import Expression, parse
from .storage import place_of

if TYPE_CHECKING:
    import optuna

#: What the names of the user attributes begin with.
PREFIX = "joined-"
_REMEDY = "Restore it from a copy, or begin again in another storage (--storage)."


def group_of(known: Iterable[int]) -> str:
    """The name of the group that is proposed when these functions are evaluated."""
    return PREFIX + checksum(json.dumps(sorted(map(int, known))).encode())


def write_group(study: "optuna.Study", name: str, moves: list[tuple[int, Expression]]) -> None:
    """Keep a group of functions with their numbers in a study."""
    functions = [[int(number), str(function)] for number, function in moves]
    study.set_user_attr(name, {"functions": functions, "checksum": _checksum(name, functions)})


def read_groups(study: "optuna.Study", storage: Any) -> dict[str, list[tuple[int, Expression]]]:
    """All groups of a study, by name.

    Args:
        study: The study.
        storage: Where it is, as for `open_storage`, for messages.

    Raises:
        DamagedFile: If a group is not what was written.
    """
    found = {}
    for name, content in study.user_attrs.items():
        if name.startswith(PREFIX):
            try:
                found[name] = _functions(name, content)
            except (KeyError, TypeError, ValueError) as error:
                problem = f"'{name}' of the study '{study.study_name}': {error}"
                raise DamagedFile(place_of(storage), problem, _REMEDY) from error
    return found


def _functions(name, content):
    functions, kept = content["functions"], content["checksum"]
    if kept != _checksum(name, functions):
        raise ValueError(f"its checksum is {kept}, not {_checksum(name, functions)}")
    return [(int(number), parse(text)) for number, text in functions]


def _checksum(name, functions):
    return checksum(json.dumps([name, functions], sort_keys=True).encode())
