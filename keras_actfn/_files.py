"""Files that appear whole or not at all: written under another name, then moved into place."""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a new path in the folder of `path`, which is moved to `path` at the end.

    After an error the new file is removed, and what was at `path` is as it was.

    Args:
        path: The file to write. Its folder is made if it does not exist.

    Example:
    ```python
    with replacing("runs/model.keras") as temporary:
        model.save(temporary)
    ```
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: str | os.PathLike, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes, all or nothing."""
    if isinstance(content, str):
        content = content.encode()
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as JSON, all or nothing; numbers that are not finite are an error."""
    write_file(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_npz(path: str | os.PathLike, **arrays: np.ndarray) -> None:
    """Write arrays as a compressed npz file, all or nothing."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
