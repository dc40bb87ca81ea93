"""What `compare` adds to a plain `fit` of the same steps, for a training of a moment.

    KERAS_BACKEND=jax python benchmarks/overhead.py >> benchmarks/overhead.txt

A multilayer perceptron 64-64-64-10 is trained for 30 epochs on 400 of scikit-learn's digits in
batches of 32, with a validation part of 400, and is then tested on the rest. One training of each
way is a round: `fit` and `evaluate` of one model that is compiled already and goes on from where it
is; and what one more seed costs a comparison, for a task whose models are compiled by the user, and
for one with a recipe. The ways take turns, so that all of them meet the same machine. Printed are
the medians of the rounds and their ratios to the plain training, by the clock and by the
processor's time, for an activation without weights and one with weights of its own. PyTorch is
given one thread for all ways, as `compare` gives small models.

The recipe leaves out the images that do not fill a batch, 12 steps where `fit` takes 13, and
measures 400 images at once.
"""

import argparse
import os
import statistics
import time

import keras

import keras_actfn
from keras_actfn import datasets
from keras_actfn.training import Task, recipes
from keras_actfn.training.trainer import Trainer

EPOCHS, BATCH = 30, 32
ACTIVATIONS = ("relu", "pwl")


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


def ways(activation, parts):
    """Functions of a round's number that train once, by name; the plain way first."""
    train, validation, test = parts
    model = compiled(activation)

    def plain(_):
        model.fit(*train, epochs=EPOCHS, batch_size=BATCH, validation_data=validation, verbose=0)
        model.evaluate(*test, batch_size=BATCH, verbose=0)

    def compared(build):
        trainer = Trainer(Task(build, *parts, epochs=EPOCHS, batch_size=BATCH))
        return lambda number: trainer.train_once(activation, number)

    return {"fit": plain, "compiled model": compared(compiled), "recipe": compared(network)}


def measured(functions, rounds):
    """Median seconds by the clock and of the processor, by name."""
    times = {name: [] for name in functions}
    for number in range(rounds + 2):  # the first compiles, the second builds a last time
        for name, function in functions.items():
            clock, processor = time.perf_counter(), time.process_time()
            function(number)
            times[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {
        name: [statistics.median(column) for column in zip(*found[2:], strict=True)]
        for name, found in times.items()
    }


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    data = datasets.digits()
    x = data.x_train.reshape(len(data.x_train), -1)
    y = data.y_train
    parts = [(x[part], y[part]) for part in (slice(400), slice(400, 800), slice(800, None))]
    name = keras.backend.backend()
    print(f"{name}: {rounds} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for activation in ACTIVATIONS:
        found = measured(ways(activation, parts), rounds)
        plain = found.pop("fit")
        print(f"  {activation}: fit and evaluate {plain[0]:.3f} s, processor {plain[1]:.3f} s")
        for way, seconds in found.items():
            ratios = [one / other for one, other in zip(seconds, plain, strict=True)]
            print(
                f"    {way}: {seconds[0]:.3f} s, {ratios[0]:.2f} times as long, processor "
                f"{ratios[1]:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
