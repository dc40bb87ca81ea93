"""Memory and time of PyTorch's compiled loops: one model after another, each of a new function.

    KERAS_BACKEND=torch python benchmarks/compiled_memory.py > benchmarks/compiled_memory.txt

Each model has one large layer with a function that none before it had, and is trained for a step:
two loops, one forward and one backward. Printed are the resident memory of the process and the
seconds since the start, with the memory that the compiler freed given back to the system (what
the package does) and without.
"""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

#: Models, of which each compiles two loops.
COUNT = 42


def measure(give_back: bool) -> None:
    """Train the models and print a line for some of them."""
    import torch

    from keras_actfn.backend import _torch_fusion as fusion
    from keras_actfn.layers import ExpressionActivation

    fusion._MOST_COMPILED = 2 * COUNT
    if not give_back:
        fusion._give_back = lambda: None
    x, started = torch.randn(1 << 20, 1), time.monotonic()
    print(f"memory given back: {give_back}")
    for number in range(COUNT + 1):
        if number:
            layer = ExpressionActivation(
                f"max(mul({number},tanh(x)),mul(x,sigmoid(add(x,{number}))))"
            )
            layer(x.clone().requires_grad_()).sum().backward()
        if number in (0, 1, 2) or number % 7 == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
            megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            seconds = time.monotonic() - started
            print(f"{number:3d} models {megabytes:7.0f} MB {seconds:6.1f} s", flush=True)
    assert len(fusion._COMPILED) == 2 * COUNT


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1] == "True")
    else:
        for choice in (False, True):
            subprocess.run([sys.executable, __file__, str(choice)], check=True)
