"""What the benchmarks of the papers' tables share: runs as lines of a file, and their table.

A run is (model, seed, activation). A finished one is at once a line of a file, with a checksum;
it counts for every call with the same rule, the dictionary of what else decides a result.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from keras_actfn import applications, datasets
from keras_actfn._files import append_line, read_lines, write_file
from keras_actfn.training import Task, paired_difference


def parser(description, file, data, models, activations, longest):
    """The command line that all have; `file` is the benchmark's own."""
    found = argparse.ArgumentParser(description=description.partition("\n")[0])
    found.add_argument("--data", default=data[0], choices=data)
    found.add_argument("--data-path", help="the data's files, if not where they usually are")
    found.add_argument("--models", nargs="+", default=list(models), choices=models)
    found.add_argument(
        "--activations", nargs="+", default=list(activations), choices=list(activations)
    )
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    found.add_argument("--results", type=Path, default=Path(file).with_suffix(".jsonl"))
    found.add_argument("--table", action="store_true", help="train nothing")
    found.add_argument("--output", type=Path, help="file for the table")
    found.add_argument("--subset", type=int, help="training images, for a trial")
    policies = ("float32", "mixed_bfloat16")
    found.add_argument("--dtype", default=policies[0], choices=policies, help="Keras's policy")
    found.add_argument("--longest", type=int, default=longest, help="epochs, for a trial")
    return found


def rule(args, batch_size):
    """The rule of trainings with a fixed number of epochs."""
    return {
        "data": args.data,
        "images": args.subset,
        "epochs": args.longest,
        "batch_size": batch_size,
        "dtype": args.dtype,
    }


def finished(path, rule):
    """The records of a file that follow the rule, by (model, seed, activation)."""
    return {
        (record["model"], record["seed"], record["activation"]): record
        for record in read_lines(path)
        if {key: record.get(key) for key in rule} == rule
    }


def train_missing(path, rule, plan, train):
    """Train every run of the plan that is not in the file; `train(run)` gives what it measured.

    Another process may meanwhile train other runs of the plan.
    """
    for run in plan:
        if run in finished(path, rule):
            continue
        model, seed, activation = run
        measured = {"backend": keras.backend.backend(), **train(run)}
        record = {**rule, "model": model, "activation": activation, "seed": seed}
        append_line(path, {**record, **measured})
        print(
            f"{model}, {activation}, seed {seed}: test accuracy "
            f"{100 * measured['test_accuracy']:.2f} %, {measured['seconds']:.0f} s",
            flush=True,
        )


def measured(trainer, activation, seed):
    """What one training of a `Trainer` measured, its validation data looked at once."""
    result = trainer.train_once(activation, seed, validate_every_epoch=False)
    return {
        "test_accuracy": result.test["accuracy"],
        "validation_accuracy": result.validation["accuracy"],
        "diverged": result.diverged,
        "seconds": round(result.seconds, 1),
    }


def task_of(args, model, recipe, batch_size, validation):
    """The trainings' data, recipe and length for one model of `keras_actfn.applications`.

    Args:
        args: The command line's arguments.
        model: The builder's name.
        recipe: The recipe's name.
        batch_size: Images per step.
        validation: How many training images, or which share of them, are held out.
    """
    data = datasets.load(args.data, args.data_path)
    builder, shape = getattr(applications, model), data.x_train.shape[1:]

    def build(activation):
        if args.dtype == "float32":
            return builder(activation, input_shape=shape, classes=data.classes)
        # The softmax is float32's, as Keras's guide to mixed precision has it.
        logits = builder(activation, shape, data.classes, classifier_activation=None)
        head = keras.layers.Activation("softmax", dtype="float32", name="probabilities")
        return keras.Model(logits.input, head(logits.output))

    return Task(
        build,
        data,
        validation=validation,
        epochs=args.longest,
        batch_size=batch_size,
        recipe=recipe,
        subset=args.subset,
    )


def computed_in(records):
    """The backends of the records and the precision of their layers, as a sentence."""
    found = {f"{r['backend']}, {r.get('dtype', 'float32')}" for r in records.values()}
    return f"Backend: {' and '.join(sorted(found)) or 'none'}."


def of_model(records, model):
    """The records of one model, by (seed, activation)."""
    return {key[1:]: record for key, record in records.items() if key[0] == model}


#: Headings of the cells of `row`.
HEADINGS = (
    "activation",
    "seeds",
    "test accuracy (%)",
    "difference to relu (points, 95 % interval)",
)


def row(records, seeds, activation, base):
    """One activation's cells, from the records of a model."""
    runs = {seed: records[seed, activation] for seed in seeds if (seed, activation) in records}
    accuracies = [100 * record["test_accuracy"] for record in runs.values()]
    spread = f" ± {np.std(accuracies, ddof=1):.2f}" if len(accuracies) > 1 else ""
    accuracy = f"{np.mean(accuracies):.2f}{spread}" if runs else "missing"
    pairs = [
        (record["test_accuracy"], records[seed, base]["test_accuracy"])
        for seed, record in runs.items()
        if (seed, base) in records
    ]
    difference = "—"
    if pairs and activation != base:
        count = f"{len(pairs)} seed{'s' if len(pairs) > 1 else ''}"
        fewer = "" if len(pairs) == len(runs) else f" ({count})"
        difference = f"{interval(pairs)}{fewer}"
    return [activation, str(len(runs)), accuracy, difference]


def interval(pairs):
    """The mean paired difference in points, with its interval from two pairs on."""
    mean, low, high = paired_difference(*zip(*pairs, strict=True))
    ends = "" if low is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    return f"{100 * mean:+.2f}{ends}"


def missing(plan, records):
    """What is missing, in words, a line for each model and seed; None if nothing is."""
    absent = [run for run in plan if run not in records]
    if not absent:
        return None
    lines = [f"Missing: {len(absent)} of {len(plan)} runs", ""]
    for model, seed in dict.fromkeys(run[:2] for run in absent):
        names = [run[2] for run in absent if run[:2] == (model, seed)]
        lines.append(f"{model}, seed {seed}: {', '.join(names)}")
    return "\n".join(lines)


def run(args, rule, train_missing, table):
    """Train what is missing unless only the table is asked for, and print the table.

    Returns:
        The records that the table is of.
    """
    keras.config.set_dtype_policy(args.dtype)
    if not args.table:
        train_missing(args)
    records = finished(args.results, rule(args))
    text = table(args, records)
    print(text, end="")
    if args.output:
        write_file(args.output, text)
    return records
