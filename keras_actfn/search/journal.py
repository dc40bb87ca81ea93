"""Optuna's journal file, which survives a write that was cut off.

A process that is killed while it writes, or a disk that is full, leaves the last line of the file
without its end. Optuna goes on behind it, and from then on nobody can read the file. Here a line
without an end is dropped, with a warning, when the file is opened and before anything is written
behind it; a write that fails is taken back at once.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._optional import require

if TYPE_CHECKING:
    import optuna
else:
    optuna = require("optuna", extra="search")
_file = require("optuna.storages.journal._file", extra="search")


class Journal(optuna.storages.journal.JournalFileBackend):
    """A journal file, one JSON record a line.

    Args:
        path: The file; made if it is missing.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._path = Path(path)
        super().__init__(str(path))
        if self._whole_size() != self._path.stat().st_size:
            with _file.get_lock_file(self._lock):  # nobody is writing now: the line is torn
                self._drop_torn_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records, all or nothing."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with _file.get_lock_file(self._lock):
            self._drop_torn_line()
            size = self._path.stat().st_size
            try:
                with open(self._path, "ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    os.truncate(self._path, size)
                raise

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the records from a number on.

        Raises:
            ValueError: If a line that is not the last is no record.
        """
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:
            raise ValueError(
                f"A journal has one JSON record a line. {self._path} has another line ({error}): "
                "the file was damaged. Restore it, or choose another storage."
            ) from error

    def _whole_size(self) -> int:
        """The size up to the end of the last whole line."""
        with open(self._path, "rb") as file:
            position = file.seek(0, os.SEEK_END)
            while position:
                start = max(0, position - 65536)
                file.seek(start)
                end = file.read(position - start).rfind(b"\n")
                if end >= 0:
                    return start + end + 1
                position = start
        return 0

    def _drop_torn_line(self) -> None:
        whole, size = self._whole_size(), self._path.stat().st_size
        if whole == size:
            return
        os.truncate(self._path, whole)
        warnings.warn(
            f"The last line of {self._path} was cut off ({size - whole} bytes) by a kill or a full "
            "disk. It is dropped; what it said is done again.",
            stacklevel=2,
        )
