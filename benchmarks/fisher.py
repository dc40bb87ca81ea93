"""Seconds per activation function for a Fisher spectrum, beside kfac-jax on the same machine.

Run `python benchmarks/fisher.py` (minutes on two cores). Each backend runs in its own process;
kfac-jax runs in JAX's process, its functions in turn with ours. Every function is new to the
process: `cold` is the first one, `new` the median of the others, built from fresh models with
the same weights. For kfac-jax `new` includes its compilation and `warm` repeats the compiled
update. Seconds are of wall-clock time and, behind the slash, of processor time, which other
work on the machine disturbs less; ratios are of processor time.

The split of the native engine: waiting for forward and backward passes, waiting for factors
(their sums run beside the passes), eigenvalues, and the histogram step (`features`). ResNet56V2's
batch goes through in two parts (`batch_size`), which changes nothing but the memory.
"""

import argparse
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
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def worker(model_name, functions, with_kfac):
    """Measure one model on this process's backend; print one JSON object."""
    import keras
    import numpy as np

    from keras_actfn import applications
    from keras_actfn.fisher import fisher_spectrum

    shape, batch = MODELS[model_name]
    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
    build = getattr(applications, model_name)
    native, stages, kfac = [], [], []
    for name in functions:
        keras.utils.set_random_seed(0)
        model = build(activation=name, input_shape=shape)
        part = batch // PARTS.get(model_name, 1)
        spectrum, seconds = timed(fisher_spectrum, model, x, batch_size=part)
        features, histogram = timed(spectrum.features)
        native.append(seconds)
        stages.append({**spectrum.timings, "histogram": histogram[0]})
        if with_kfac:
            kfac.append(kfac_seconds(model, x))
    print(
        json.dumps(
            {
                "native": native,
                "stages": stages,
                "kfac": kfac,
                "features": len(features),
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            }
        )
    )


def kfac_seconds(model, x):
    """Return the seconds of kfac-jax for a new function, and warm."""
    from keras_actfn.fisher.kfac_jax import KfacJax
    from keras_actfn.fisher.native import Request

    request = Request("exact", None, None, False, None, False, False)

    def run(estimate=None):
        estimate = estimate or KfacJax(model, x, None, request)
        estimate.update()
        estimate.spectrum().features()
        return estimate

    estimate, new = timed(run)
    return new, timed(run, estimate)[1]


def measure(backend, model_name, functions, with_kfac, threads):
    """Run a worker process and return its object, or `None` if it failed."""
    command = [sys.executable, __file__, "--worker", model_name, "--functions", *functions]
    environment = dict(os.environ, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3")
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    result = subprocess.run(
        command + ["--kfac"] * with_kfac, env=environment, capture_output=True, text=True
    )
    if result.returncode:
        print(f"{backend} {model_name}: failed: {result.stderr.strip().splitlines()[-1]}")
        return None
    return json.loads(result.stdout.strip().splitlines()[-1])


def median(pairs, position):
    """Return the median of one position of a list of pairs."""
    return statistics.median(pair[position] for pair in pairs)


def show(pair):
    """Write wall-clock and processor seconds."""
    return f"{pair[0]:7.2f} /{pair[1]:6.2f}"


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
    parser.add_argument("--kfac", action="store_true")
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.functions, options.kfac)
        return
    cores = len(os.sched_getaffinity(0))
    print(f"Fisher spectra, exact mode: wall-clock / processor seconds on {cores} cores")
    print(f"Functions: {', '.join(options.functions)}; load average {os.getloadavg()[0]:.1f}\n")
    heading = f"{'model':<11} {'engine':<20} {'cold':>15} {'new':>15} {'warm':>15}  ratio to native"
    print(heading)
    for name in options.models:
        results = {}
        for backend in options.backends:
            with_kfac = backend == "jax" and name in KFAC_MODELS
            found = measure(backend, name, options.functions, with_kfac, options.threads)
            if found:
                results[backend] = found
        kfac = results.get("jax", {}).get("kfac")
        for backend, found in results.items():
            new = tuple(median(found["native"][1:] or found["native"], i) for i in (0, 1))
            line = f"{name:<11} {'native, ' + backend:<20} {show(found['native'][0]):>15} "
            line += f"{show(new):>15} {'':>15}"
            if kfac:
                ratios = [median([pair[k] for pair in kfac], 1) / new[1] for k in (0, 1)]
                line += f"  kfac-jax new {ratios[0]:.1f}, warm {ratios[1]:.1f}"
            print(line)
        if kfac:
            new = tuple(median([pair[0] for pair in kfac[1:] or kfac], i) for i in (0, 1))
            warm = tuple(median([pair[1] for pair in kfac], i) for i in (0, 1))
            line = f"{name:<11} {'kfac-jax, jax':<20} {show(kfac[0][0]):>15} "
            print(f"{line}{show(new):>15} {show(warm):>15}")
        for backend, found in results.items():
            parts = {
                stage: statistics.median(s[stage] for s in found["stages"])
                for stage in found["stages"][0]
            }
            share = 100 * parts["histogram"] / sum(parts.values())
            text = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in parts.items())
            print(
                f"    {backend}: {text} ({share:.1f} %); {found['features']} features; "
                f"peak memory {found['memory']:.1f} GiB"
            )
        print(flush=True)


if __name__ == "__main__":
    main()
