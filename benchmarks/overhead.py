"""What `compare` adds to a plain `fit` of the same steps, for a training of a moment.

    KERAS_BACKEND=jax python benchmarks/overhead.py >> benchmarks/overhead.txt

A multilayer perceptron 64-64-64-10 is trained for 30 epochs on 400 of scikit-learn's digits in
batches of 32, with a validation part of 400, and is then evaluated on the rest. A run of `compare`
is what one more seed costs: (the time for nine seeds − the time for one) / 8, beside the median of
nine calls of `fit` and `evaluate` of one compiled model. Both ways of a task are measured: the
user's compiled model, and an uncompiled one with a recipe. Run it on a machine that does nothing
else.
"""

import statistics
import time

import keras

import keras_actfn
from keras_actfn import datasets
from keras_actfn.training import Task, compare, recipes

EPOCHS, BATCH = 30, 32


def network(activation):
    """The network, not compiled."""
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64),
            keras_actfn.activation(activation),
            keras.layers.Dense(64),
            keras_actfn.activation(activation),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def compiled(activation):
    """The network, compiled as the recipe `adam` does."""
    model = network(activation)
    model.compile(
        recipes.get("adam").optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def seconds_of_fit(train, validation, test):
    """Median seconds of a plain training of a model that has been trained before."""
    model = compiled("relu")
    times = []
    for _ in range(10):
        start = time.perf_counter()
        model.fit(*train, epochs=EPOCHS, batch_size=BATCH, validation_data=validation, verbose=0)
        model.evaluate(*test, batch_size=BATCH, verbose=0)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def seconds_of_run(build, parts):
    """Seconds that one more seed costs a comparison."""
    task = Task(build, *parts, epochs=EPOCHS, batch_size=BATCH)

    def total(seeds):
        start = time.perf_counter()
        compare(task, ["relu"], seeds=seeds)
        return time.perf_counter() - start

    total(1)
    return (total(9) - total(1)) / 8


def main():
    """Measure and print."""
    data = datasets.digits()
    x = data.x_train.reshape(len(data.x_train), -1)
    y = data.y_train
    parts = [(x[part], y[part]) for part in (slice(400), slice(400, 800), slice(800, None))]
    plain = seconds_of_fit(*parts)
    print(f"{keras.backend.backend()}: fit and evaluate {plain:.3f} s")
    for name, build in (("compiled model", compiled), ("recipe", network)):
        run = seconds_of_run(build, parts)
        print(f"  a run of compare, {name}: {run:.3f} s, {run / plain:.2f} times as long")


if __name__ == "__main__":
    main()
