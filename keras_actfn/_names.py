"""Looking a name up in a table: which valid names are near, and the error for one that is not."""

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str], count: int = 3) -> str:
    """Return a sentence with the valid names nearest to `name`.

    Args:
        name: What was asked for.
        valid: The names that exist.
        count: The largest number of suggestions.

    Returns:
        `"Did you mean 'relu', 'elu'?"`, or `""` when nothing is near.
    """
    valid = sorted(set(valid))
    close = difflib.get_close_matches(name, valid, n=count, cutoff=0.5)
    if not close:
        lowered = {v.lower().replace("-", "_"): v for v in valid}
        name = name.lower().replace("-", "_")
        close = [lowered[m] for m in difflib.get_close_matches(name, lowered, n=count, cutoff=0.5)]
    if not close:
        return ""
    return "Did you mean " + ", ".join(f"'{match}'" for match in close) + "?"


def unknown_name(what: str, name: object, valid: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in a table.

    Args:
        what: What the table holds, as in "A recipe's name".
        name: What was asked for.
        valid: The names that exist.
    """
    valid = list(valid)
    return ValueError(
        f"{what} is one of: {', '.join(valid)}. Received: {name!r}. "
        f"{nearest(str(name), valid)}".rstrip()
    )
