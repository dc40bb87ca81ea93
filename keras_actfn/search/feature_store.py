"""Fisher spectra of many activation functions, in a folder that several processes add to.

    manifest.json      format, version, and the key: what the spectra were computed with
    shard-<id>.npz     some results, never changed once written:
        ids            int64 (valid functions,)
        cdfs           float32 (valid functions, bins): `FisherSpectrum.features()`
        parameters     int64 (layers,): weights of each layer
        invalid        int64 (invalid functions,)
        reasons        text (invalid functions,)

A shard appears under its name by one rename. What a killed process leaves under another name
is ignored. Of two results for one function, the first in the order of the names counts. A shard
whose checksums differ is left out, so that its functions are probed again.
"""

import dataclasses
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .._drafts import make_folder
from .._files import (
    DamagedFile,
    read_json,
    read_npz,
    warn_made_again,
    write_json,
    write_npz,
)
from ..fisher.spectrum import PARAMETERS_PER_BIN, bin_weights

FORMAT = "keras-actfn features"
VERSION = 1
_REMEDY = "Delete it."


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeResult:
    """What probing one function gave: a spectrum, or why there is none.

    Attributes:
        id: Number of the function.
        cdf: `FisherSpectrum.features()`, float32 (bins,); None for an invalid function.
        reason: Why the function is invalid; None for a valid one.
        parameters: Number of weights of each layer of the spectrum.
    """

    id: int
    cdf: np.ndarray | None = None
    reason: str | None = None
    parameters: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """All spectra of a store.

    Attributes:
        ids: Numbers of the valid functions, ascending, (n,).
        cdfs: Their spectra, float32 (n, bins).
        parameters: Number of weights of each layer.
        invalid: Why a function is invalid, by its number.
    """

    ids: np.ndarray
    cdfs: np.ndarray
    parameters: tuple[int, ...]
    invalid: dict[int, str]

    @property
    def weights(self) -> np.ndarray:
        """Factors that make the Manhattan distance of two rows the paper's Eq. 2, (bins,).

        A layer of |θ| weights has ⌊|θ| / 100⌋ bins of equal width from −100 to 100; each counts
        with the width over |θ|.
        """
        return bin_weights(self.parameters)

    def counts(self) -> dict[str, int]:
        """Numbers of functions: `probed`, `valid`, `invalid`."""
        return _counts(len(self.ids), len(self.invalid))

    def reasons(self) -> dict[str, int]:
        """Numbers of invalid functions by the reason, the most frequent first."""
        return dict(Counter(self.invalid.values()).most_common())


class FeatureStore:
    """Results of probing, in a folder; append-only, shared by processes, safe to kill.

    Args:
        folder: Where; made if missing.
        key: What the spectra depend on (space, model, batch, seed, mode), as JSON values.

    Raises:
        ValueError: If the folder holds results with another key, or of a newer version.

    Example:
    ```python
    spectrum = keras_actfn.fisher.fisher_spectrum(model, x)
    sizes = [block.parameters for block in spectrum.blocks]
    store = FeatureStore("runs/features", {"model": "small", "seed": 0})
    store.append([ProbeResult(7, spectrum.features(), parameters=sizes)])
    store.load().cdfs.shape
    ```
    """

    def __init__(self, folder: str | os.PathLike, key: dict) -> None:
        self.folder = make_folder(folder)
        self.key = json.loads(json.dumps(key))
        self._shards: dict[Path, _Shard] = {}
        path = self.folder / "manifest.json"
        if not path.exists():
            manifest = {"format": FORMAT, "version": VERSION, "key": self.key}
            write_json(path, manifest, checked=True)
        self._check(path)

    def append(self, results: Iterable[ProbeResult]) -> None:
        """Write results as one shard, whole or not at all.

        Args:
            results: `ProbeResult`s.

        Raises:
            ValueError: If spectra have other layers than those in the store.
        """
        results = list(results)
        if not results:
            return
        valid = [result for result in results if result.reason is None]
        invalid = [result for result in results if result.reason is not None]
        self._refresh()
        self._sizes(*(tuple(result.parameters) for result in valid))
        cdfs = [result.cdf for result in valid]
        write_npz(
            self.folder / f"shard-{uuid.uuid4().hex}.npz",
            ids=np.array([result.id for result in valid], np.int64),
            cdfs=np.array(cdfs, np.float32) if cdfs else np.zeros((0, 0), np.float32),
            parameters=np.array(valid[0].parameters if valid else (), np.int64),
            invalid=np.array([result.id for result in invalid], np.int64),
            reasons=np.array([result.reason for result in invalid], str),
        )

    def ids(self) -> set[int]:
        """The set of the numbers of all probed functions, valid or not."""
        valid, invalid = self._merged()
        return {*valid, *invalid}

    def counts(self) -> dict[str, int]:
        """Numbers of functions: `probed`, `valid`, `invalid`."""
        valid, invalid = self._merged()
        return _counts(len(valid), len(invalid))

    def load(self) -> Features:
        """Read everything, as `Features`.

        Raises:
            ValueError: If spectra have different layers.
        """
        valid, invalid = self._merged()
        parameters = self._sizes()
        ids = np.array(sorted(valid), np.int64)
        bins = sum(count // PARAMETERS_PER_BIN for count in parameters)
        cdfs = np.empty((len(ids), bins), np.float32)
        rows_of: dict[Path, list] = {}
        for target, number in enumerate(ids.tolist()):
            path, row = valid[number]
            rows_of.setdefault(path, []).append((target, row))
        for path, pairs in rows_of.items():
            targets, rows = np.array(pairs).T
            cdfs[targets] = read_npz(path, _REMEDY)["cdfs"][rows]
        return Features(ids, cdfs, parameters, invalid)

    def _merged(self):
        """Shard and row of each valid function, and the reason of each invalid one, by number."""
        self._refresh()
        valid: dict[int, tuple] = {}
        invalid: dict[int, str] = {}
        for path, shard in sorted(self._shards.items()):
            for row, number in enumerate(shard.ids.tolist()):
                if number not in invalid:
                    valid.setdefault(number, (path, row))
            for number, reason in zip(shard.invalid.tolist(), shard.reasons.tolist(), strict=True):
                if number not in valid:
                    invalid.setdefault(number, reason)
        return valid, invalid

    def _sizes(self, *more):
        """Numbers of weights of the layers, the same in all shards and in `more`."""
        sizes = {shard.parameters for shard in self._shards.values() if len(shard.ids)}
        sizes.update(more)
        if len(sizes) > 1:
            received = " and ".join(map(str, sorted(sizes)))
            raise ValueError(
                "Spectra are compared layer by layer: the numbers of weights of the layers must "
                f"not depend on the activation function. Received for {self.folder}: {received}. "
                "Let build_model change nothing but the activation."
            )
        return next(iter(sizes), ())

    def _check(self, path):
        manifest = read_json(path, "Delete the folder to compute the spectra again.")
        if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
            raise ValueError(
                "A folder of features has a manifest of this format and version "
                f"{VERSION}. Received: {path}, {manifest.get('format')!r} of version "
                f"{manifest.get('version')}. Choose another folder, or install a newer keras-actfn."
            )
        found = manifest.get("key")
        if found != self.key:
            found = found if isinstance(found, dict) else {}
            names = [n for n in {**found, **self.key} if found.get(n) != self.key.get(n)]
            differences = "; ".join(
                f"{n}={self.key.get(n)!r} where the folder has {found.get(n)!r}" for n in names
            )
            raise ValueError(
                "A folder of features holds spectra of one space, model, batch, seed and mode. "
                f"Received for {self.folder}: {differences}. Choose another folder, or delete this "
                "one."
            )

    def _refresh(self):
        """Read the contents of shards that appeared since; shards never change."""
        for path in self.folder.glob("shard-*.npz"):
            if path not in self._shards:
                self._shards[path] = _Shard.read(path)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shard:
    """A shard without its spectra."""

    ids: np.ndarray
    parameters: tuple[int, ...]
    invalid: np.ndarray
    reasons: np.ndarray

    @classmethod
    def read(cls, path):
        """The shard, all of it checked; an empty one, with a warning, if it is damaged."""
        try:
            return cls._checked(read_npz(path, _REMEDY))
        except DamagedFile as error:
            damaged = error
        except (KeyError, TypeError, ValueError) as error:
            damaged = DamagedFile(path, f"it is not a shard ({error})", _REMEDY)
        warn_made_again(damaged, _REMEDY, stacklevel=5)
        none = np.zeros(0, np.int64)
        return cls(none, (), none, none)

    @classmethod
    def _checked(cls, arrays):
        ids, invalid, reasons = arrays["ids"], arrays["invalid"], arrays["reasons"]
        parameters = tuple(arrays["parameters"].tolist())
        bins = sum(count // PARAMETERS_PER_BIN for count in parameters)
        expected = (len(ids), bins) if len(ids) else (0, 0)
        if arrays["cdfs"].shape != expected or len(invalid) != len(reasons):
            raise ValueError("its arrays do not belong together")
        return cls(ids, parameters, invalid, reasons)


def _counts(valid, invalid):
    return {"probed": valid + invalid, "valid": valid, "invalid": invalid}
