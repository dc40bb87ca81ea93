"""What random damage to stored files and random kills do: nothing in silence, nothing lost.

    KERAS_BACKEND=torch python benchmarks/robustness.py > benchmarks/robustness.txt
    KERAS_BACKEND=torch python benchmarks/robustness.py --corruptions 60 --kills 6 --seconds 120

First, every kind of file that the package reads back is damaged at random: bits flipped, bytes
zeroed, cut out or cut off. What is then read is compared with what was written. It must be the
same, or made again, or refused by a ValueError that names the file and says what to do.

Then searches, comparisons, space builds and runs of the benchmark are killed (SIGKILL) at random
moments and started again, by one process or three. In the end the result is compared with one that
was not killed: nothing may be missing, done twice, or other than it was.

The processes are forks of one that has imported everything, so that kills meet the work and not
the imports. The exit status is 1 if a figure that must be zero is not.
"""

import argparse
import functools
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
from robustness_files import KINDS, corrupted, judged, write_all
from robustness_kills import WORKS, killed_until_done

OUTCOMES = ("the same", "made again", "refused", "SILENT", "RAW")
FAULTS = ("SILENT", "RAW", "not finished")


def corruptions(count, seed, until):
    """Damage files `count` times; the outcomes by the kind of file, and the faults."""
    rng = np.random.default_rng(seed)
    table = {kind: dict.fromkeys(OUTCOMES, 0) for kind in KINDS}
    faults = []
    with tempfile.TemporaryDirectory() as root:
        original = Path(root, "original")
        write_all(original)
        expected = {kind: KINDS[kind].read(original / kind) for kind in KINDS}
        for number in range(count):
            if time.monotonic() > until:
                break
            kind = list(KINDS)[number % len(KINDS)]
            folder = Path(root, "damaged")
            shutil.copytree(original / kind, folder)
            path, damage = corrupted(folder, KINDS[kind].files, rng)
            outcome, detail = judged(KINDS[kind], folder, path, expected[kind])
            table[kind][outcome] += 1
            if outcome in FAULTS:
                faults.append(f"{kind}: {path.name}, {damage}: {outcome}: {detail}")
            shutil.rmtree(folder)
    return table, faults


def kills(count, seed, until, works=tuple(WORKS)):
    """Kill works `count` times in all; kills and ends by work, and the faults."""
    rng = np.random.default_rng(seed)
    table = {name: {"kills": 0, "ends": 0, "faults": 0} for name in works}
    faults, total = [], 0
    while total < count and time.monotonic() < until:
        for name in works:
            if total >= count or time.monotonic() > until:
                break
            with tempfile.TemporaryDirectory() as folder:
                done, found = killed_until_done(name, Path(folder), rng, min(4, count - total))
            total += done
            table[name]["kills"] += done
            table[name]["ends"] += 1
            table[name]["faults"] += len(found)
            faults += [f"{name}: {fault}" for fault in found]
    return table, faults


def print_table(title, table):
    """Print one row for each kind or work, and the sums."""
    columns = list(next(iter(table.values())))
    width = max(map(len, table))
    print(f"\n{title:<{width}}" + "".join(f"{column:>13}" for column in columns))
    sums = {column: sum(row[column] for row in table.values()) for column in columns}
    for name, row in {**table, "sum": sums}.items():
        print(f"{name:<{width}}" + "".join(f"{row[column]:>13}" for column in columns))


def main():
    """Damage, kill, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corruptions", type=int, default=500)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="bound of each of the parts")
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    arguments = parser.parse_args()
    print(
        f"{arguments.corruptions} corruptions and {arguments.kills} kills asked for; seed "
        f"{arguments.seed}; backend {keras.backend.backend()}, {os.cpu_count()} cores"
    )
    faults = []
    for title, part, count in (
        ("stored file", corruptions, arguments.corruptions),
        ("killed work", functools.partial(kills, works=arguments.works), arguments.kills),
    ):
        if count:
            started = time.monotonic()
            table, found = part(count, arguments.seed, started + arguments.seconds)
            faults += found
            print_table(title, table)
            print(f"{time.monotonic() - started:.0f} s")
    print(f"\n{len(faults)} faults: silent differences, raw errors, work lost or done twice")
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
