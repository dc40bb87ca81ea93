"""Two workers of a search against one, on small trainings.

    KERAS_BACKEND=torch python benchmarks/workers.py >> benchmarks/workers.txt

Each worker is a process that trains LeNet-5 for one epoch of 1,000 digits with one activation
function after another, as a search does. Printed are trainings per minute of all workers together:
of one worker with all cores, of two that take all cores each, and of two that take their share,
as `keras-actfn search --workers 2` gives it to them; and the ratios to one worker. Each worker
trains twice before the clock starts. Run it on a machine that does nothing else.
"""

import os
import subprocess
import sys
import time

from keras_actfn.search.cores import VARIABLES, cores, environment, share

TRAININGS = 12
FUNCTIONS = ("relu(x)", "tanh(x)", "swish(x)", "max(tanh(x),x)", "mul(x,sigmoid(x))", "erf(x)")


def work():
    """Train, after a line on standard input, and print the time at the end."""
    from keras_actfn import applications, datasets, search, training

    task = training.Task(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        validation=200,
        subset=1000,
    )
    objective = search.TrainingObjective(task)
    for function in FUNCTIONS[:2]:
        objective(function)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(TRAININGS):
        objective(FUNCTIONS[number % len(FUNCTIONS)])
    print("done", flush=True)


def trainings_per_minute(workers, threads):
    """Trainings per minute of some workers together, each with a number of threads."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, __file__, "worker"]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**clean, **{name: str(threads) for name in environment(threads)}},
        )
        for _ in range(workers)
    ]
    for process in processes:
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None, "A worker ended before it began."
    start = time.perf_counter()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout.readline() == "done\n"
    seconds = time.perf_counter() - start
    for process in processes:
        process.communicate()
    return 60 * workers * TRAININGS / seconds


def main():
    """Measure and print."""
    import keras

    print(f"{keras.backend.backend()}, {cores()} cores, trainings per minute:")
    one = trainings_per_minute(1, cores())
    print(f"  one worker, {cores()} threads: {one:.0f}")
    for threads in sorted({cores(), share(2)}, reverse=True):
        two = trainings_per_minute(2, threads)
        print(f"  two workers, {threads} threads each: {two:.0f}, {two / one:.2f} times one")


if __name__ == "__main__":
    work() if sys.argv[1:] == ["worker"] else main()
