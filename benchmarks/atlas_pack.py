"""Put trainings of the atlas into the package, and their raw lines beside this file.

    KERAS_BACKEND=torch python benchmarks/atlas_pack.py [FOLDER] [TASK …]

FOLDER is that of `keras-actfn bench build`, runs/atlas by default. For each task with trainings
there, `TASK.npz` is written into the package and `TASK.jsonl.gz` into benchmarks/atlas. `--unpack`
goes the other way: raw lines that FOLDER lacks are put there, so that the build goes on from them.
"""

import gzip
import json
import sys
from pathlib import Path

from keras_actfn._files import read_lines, replacing
from keras_actfn.search.benchmarks.build import results_file
from keras_actfn.search.benchmarks.packed import DATA, read_bench
from keras_actfn.search.benchmarks.packing import pack_bench
from keras_actfn.search.benchmarks.tasks import TASKS

RAW = Path(__file__).parent / "atlas"


def pack(folder, names):
    """Write the packed file and the raw lines of each task that has trainings."""
    for name in names:
        path = results_file(folder, name)
        if not path.exists():
            continue
        manifest = pack_bench(folder, name, DATA / f"{name}.npz")
        RAW.mkdir(exist_ok=True)
        with replacing(RAW / f"{name}.jsonl.gz") as temporary:
            # Without a time in it, so that the same lines are the same file.
            temporary.write_bytes(gzip.compress(raw_lines(path), mtime=0))
        found = read_bench(DATA / f"{name}.npz")
        print(
            f"{name}: {manifest['trainings']:,} trainings of {len(found):,} functions, "
            f"{(DATA / f'{name}.npz').stat().st_size / 1e3:.0f} kB packed, "
            f"{(RAW / f'{name}.jsonl.gz').stat().st_size / 1e3:.0f} kB raw"
        )


def raw_lines(path):
    """The file without what a kill cut off, and without trainings that are there twice."""
    kept = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            found = json.loads(line)
            kept.setdefault((found["function"], found["seed"]), line)
    return b"".join(kept.values())


def unpack(folder, names):
    """Put the raw lines of tasks that have no trainings yet into the folder."""
    for name in names:
        path, raw = results_file(folder, name), RAW / f"{name}.jsonl.gz"
        if raw.exists() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(gzip.decompress(raw.read_bytes()))
            print(f"{name}: {sum(1 for _ in read_lines(path)):,} trainings")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--unpack"]
    tasks = [word for word in words if word in TASKS]
    folders = [word for word in words if word not in TASKS] or ["runs/atlas"]
    (unpack if "--unpack" in sys.argv else pack)(Path(folders[0]), tasks or list(TASKS))
