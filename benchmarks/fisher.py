"""Seconds per activation function for a Fisher spectrum, beside kfac-jax on the same machine.

Run `python benchmarks/fisher.py` (minutes on two cores). Each engine runs in a process of its own,
so that none pays for another's memory, garbage or threads: the native engine on each backend, and
kfac-jax. All of them live at the same time and take turns, function by function, so that a machine
that is slower for a while is slower for all; only one works at a time, and each collects its
garbage before the clock starts. Every function is new to the process: `cold` is the first one,
`new` the median of the others, built from fresh models with the same weights. For kfac-jax `new`
includes its compilation and `warm` repeats the compiled update. Seconds are of wall-clock time
and, behind the slash, of processor time, which other work on the machine disturbs less; ratios
are of processor time.

The split of the native engine: waiting for forward and backward passes, waiting for factors
(their sums run beside the passes), eigenvalues, and the histogram step (`features`). ResNet56V2's
batch goes through in two parts (`batch_size`), which changes nothing but the memory.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time

FUNCTIONS = ("tanh", "swish", "elu", "softplus", "gelu")
MODELS = {
    "LeNet5": ((28, 28, 1), 128),
    "KerasNet": ((32, 32, 3), 128),
    "AllCNNC": ((32, 32, 3), 128),
    "ResNet56V2": ((32, 32, 3), 64),
}
PARTS = {"ResNet56V2": 2}
KFAC_MODELS = ("LeNet5", "KerasNet")


def timed(function, *arguments, **options):
    """Return the result, the wall-clock seconds and the processor's."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def worker(model_name, engine):
    """Measure one engine on one model: a function's name a line in, one JSON object a line out."""
    import keras
    import numpy as np

    from keras_actfn import applications

    shape, batch = MODELS[model_name]
    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
    build = getattr(applications, model_name)
    measured = native_seconds if engine == "native" else kfac_seconds
    for line in sys.stdin:
        keras.utils.set_random_seed(0)
        model = build(activation=line.strip(), input_shape=shape)
        found = measured(model, x, batch // PARTS.get(model_name, 1))
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found), flush=True)


def native_seconds(model, x, part):
    """Return the seconds of the native engine for a new function, and their split."""
    from keras_actfn.fisher import fisher_spectrum

    def run():
        spectrum = fisher_spectrum(model, x, batch_size=part)
        start = time.perf_counter()
        features = spectrum.features()
        return spectrum, len(features), time.perf_counter() - start

    (spectrum, features, histogram), new = timed(run)
    return {
        "new": new,
        "stages": {**spectrum.timings, "histogram": histogram},
        "features": features,
    }


def kfac_seconds(model, x, part):
    """Return the seconds of kfac-jax for a new function, and warm."""
    from keras_actfn.fisher.kfac_jax import KfacJax
    from keras_actfn.fisher.native import Request

    request = Request()

    def run(estimate=None):
        estimate = estimate or KfacJax(model, x, None, request)
        estimate.update()
        estimate.spectrum().features()
        return estimate

    estimate, new = timed(run)
    return {"new": new, "warm": timed(run, estimate)[1]}


class Engine:
    """A process that measures one engine on one model."""

    def __init__(self, backend, engine, model_name, threads):
        self.label = f"{engine}, {backend}"
        environment = dict(os.environ, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3")
        if threads:
            environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", model_name, "--engine", engine],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.found = []

    def measure(self, function):
        """Measure one function; return whether that went well."""
        self._process.stdin.write(f"{function}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if line:
            self.found.append(json.loads(line))
        return bool(line)

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, key, position):
        """Return the median over all functions but the first of one kind of seconds."""
        return statistics.median(f[key][position] for f in self.found[1:] or self.found)


def measured(options, model_name):
    """Run all engines in turn on one model; return those that did not fail."""
    kinds = [(backend, "native") for backend in options.backends]
    if model_name in KFAC_MODELS and "jax" in options.backends:
        kinds.append(("jax", "kfac-jax"))
    engines = [Engine(*kind, model_name, options.threads) for kind in kinds]
    for function in options.functions:
        for engine in list(engines):
            if not engine.measure(function):
                print(f"{engine.label} {model_name}: failed at {function}")
                engines.remove(engine)
    for engine in engines:
        engine.close()
    return engines


def show(pair):
    """Write wall-clock and processor seconds."""
    return f"{pair[0]:7.2f} /{pair[1]:6.2f}"


def row(model_name, engine, kfac):
    """Write one line of the table."""
    new = [engine.seconds("new", i) for i in (0, 1)]
    line = f"{model_name:<11} {engine.label:<20} {show(engine.found[0]['new']):>15} {show(new):>15}"
    if engine is kfac:
        return f"{line} {show([engine.seconds('warm', i) for i in (0, 1)]):>15}"
    if kfac:
        ratios = [kfac.seconds(key, 1) / new[1] for key in ("new", "warm")]
        line += f" {'':>15}  kfac-jax new {ratios[0]:.1f}, warm {ratios[1]:.1f}"
    return line


def split(engine):
    """Write where a native engine's seconds went."""
    parts = {
        stage: statistics.median(f["stages"][stage] for f in engine.found)
        for stage in engine.found[0]["stages"]
    }
    share = 100 * parts["histogram"] / sum(parts.values())
    text = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in parts.items())
    last = engine.found[-1]
    return (
        f"    {engine.label.removeprefix('native, ')}: {text} ({share:.1f} %); "
        f"{last['features']} features; peak memory {last['memory']:.1f} GiB"
    )


def main():
    """Run the workers and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(KFAC_MODELS))
    parser.add_argument("--backends", nargs="+", default=["jax", "torch", "tensorflow"])
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS))
    parser.add_argument(
        "--threads", type=int, help="OpenMP threads; 1 on a machine with other work"
    )
    parser.add_argument("--worker", choices=MODELS)
    parser.add_argument("--engine", default="native")
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.engine)
        return
    cores = len(os.sched_getaffinity(0))
    print(f"Fisher spectra, exact mode: wall-clock / processor seconds on {cores} cores")
    print(f"Functions: {', '.join(options.functions)}; load average {os.getloadavg()[0]:.1f}\n")
    heading = f"{'model':<11} {'engine':<20} {'cold':>15} {'new':>15} {'warm':>15}  ratio to native"
    print(heading)
    for name in options.models:
        engines = measured(options, name)
        kfac = next((e for e in engines if e.label.startswith("kfac-jax")), None)
        for engine in engines:
            print(row(name, engine, kfac))
        for engine in engines:
            if engine is not kfac:
                print(split(engine))
        print(flush=True)


if __name__ == "__main__":
    main()
