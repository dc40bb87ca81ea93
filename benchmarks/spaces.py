"""Time and memory to find the unique functions of the search spaces, and their counts.

    KERAS_BACKEND=jax python benchmarks/spaces.py > benchmarks/spaces.txt

Each space runs in a process of its own, which gives its peak of resident memory. Processes use
two threads. Bars: the four-node space in
30 s and 1 GB, the three-node space in 1 s, on two cores.
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Space, options, and the count that was measured before, by another program.
RUNS = (
    ("three_node", {}, 2_791),
    ("coatnet", {}, 134_597),
    ("four_node", {}, 387_022),
    ("three_node", {"up_to_sign": True}, 2_388),
    ("coatnet", {"up_to_sign": True}, 129_862),
    ("four_node", {"up_to_sign": True}, 354_968),
    ("three_node", {"method": "float32"}, 2_913),
)


def measure(number):
    """Run one row of `RUNS` and print it."""
    from keras_actfn.expressions import SPACES

    name, options, stated = RUNS[number]
    before = _resident_peak()
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        unique = SPACES[name]().unique(path=Path(folder) / name, **options)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        size = (Path(folder) / name / "outputs.npy").stat().st_size / 1e9
        counts = unique.counts()
    label = name + "".join(f" {key}={value}" for key, value in options.items())
    print(
        f"{label:<28}{counts['functions']:>10,}{counts['unique']:>9,}{stated:>9,}"
        f"{counts['unique_and_finite']:>9,}{seconds:>8.2f}{cpu:>7.2f}{size:>7.2f}"
        f"{_resident_peak():>7.2f}{before:>9.2f}{os.getloadavg()[0]:>6.1f}",
        flush=True,
    )


def _resident_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux: kB


def main():
    """Print the table."""
    import numpy
    import scipy

    print(f"Python {platform.python_version()}, NumPy {numpy.__version__}, SciPy", end=" ")
    print(f"{scipy.__version__}; {os.cpu_count()} cores. 'cpu' is the processor time in seconds,")
    print("'disk' and 'memory' (the process's peak) are in GB, 'imports' is the memory before the")
    print("start, and 'load' is the machine's load average: above its cores, others ran too.\n")
    print(
        f"{'space':<28}{'functions':>10}{'unique':>9}{'stated':>9}{'finite':>9}{'seconds':>8}{'cpu':>7}"
        f"{'disk':>7}{'memory':>7}{'imports':>9}{'load':>6}",
        flush=True,
    )
    for number, (_, options, _) in enumerate(RUNS):
        backend = "tensorflow" if "method" in options else os.environ.get("KERAS_BACKEND", "jax")
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(
            [sys.executable, __file__, str(number)],
            env=environment,
            check=True,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
