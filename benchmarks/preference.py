"""GELU against CRReLU in preference tuning, after the CRReLU paper's Table 4.

    KERAS_BACKEND=jax python benchmarks/preference.py --output benchmarks/preference.txt

What it is: a small GPT-2 is trained from scratch on the real conversations of the package
chitchat-dataset (supervised fine-tuning), then tuned by DPO to prefer the reply that was
really given over a reply from another conversation, for each beta of the paper. What it is
not: the paper's experiment, which tunes the pretrained GPT-2 of 124 million parameters on
the human preferences of SHP and HH. To run that on a machine that has them, see
docs/transformers.md.

Needs: pip install "keras-actfn[chat,cli]". Every finished run is a file in --runs; what is
there is not run again, so the command can be stopped at any time and started again.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import keras
import numpy as np
from keras_actfn.applications import GPT2
from keras_actfn.applications.gpt2 import gelu_tanh

from keras_actfn._files import write_file, write_json
from keras_actfn.finetuning.chitchat import chitchat_preferences
from keras_actfn.finetuning.preference import (
    DirectPreferenceOptimization,
    SupervisedFineTuning,
    dpo_optimizer,
)
from keras_actfn.finetuning.preference_data import WordTokenizer, encode
from keras_actfn.training import paired_difference

ACTIVATIONS = {"gelu": gelu_tanh, "crrelu": "crrelu"}
BETAS = (0.1, 1.0, 2.0, 5.0)
METRICS = {"reward_margin": "reward margin", "reward_accuracy": "reward accuracy", "loss": "loss"}
# The paper's Table 4: margin, accuracy, loss.
PAPER = {
    ("crrelu", 0.1): (0.1428, 0.6210, 0.6476),
    ("gelu", 0.1): (0.1419, 0.6196, 0.6480),
    ("crrelu", 1.0): (0.4626, 0.5756, 0.9201),
    ("gelu", 1.0): (0.4556, 0.5731, 0.9298),
    ("crrelu", 2.0): (0.7736, 0.5628, 1.462),
    ("gelu", 2.0): (0.7176, 0.5606, 1.481),
    ("crrelu", 5.0): (1.846, 0.5635, 3.268),
    ("gelu", 5.0): (1.651, 0.5566, 3.305),
}


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/preference"))
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=1536, help="training pairs")
    parser.add_argument("--validation", type=int, default=384, help="validation pairs")
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--context", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--sft-epochs", type=int, default=5)
    parser.add_argument("--dpo-epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="of DPO's RMSprop")
    parser.add_argument("--batch", type=int, default=32)
    return parser.parse_args()


def prepare(args):
    """Training and validation arrays, and the tokeniser's size."""
    training, validation = chitchat_preferences(turns=2, replies=4, seed=0)
    tokenizer = WordTokenizer((p.prompt + p.chosen for p in training), args.vocabulary)
    rng = np.random.default_rng(0)
    training = [training[i] for i in rng.permutation(len(training))[: args.pairs]]
    lengths = {"max_length": args.context + 1, "max_prompt": args.context // 2}
    used = len(training) // args.batch * args.batch
    validation = validation[: min(args.validation, len(validation)) // args.batch * args.batch]
    return (
        encode(training[:used], tokenizer, **lengths),
        encode(validation, tokenizer, **lengths),
        tokenizer.size,
    )


def fine_tune(name, seed, data, size, args):
    """A small GPT-2 after supervised fine-tuning, and its loss on validation answers."""
    training, validation = data
    keras.utils.set_random_seed(seed)
    policy = GPT2(
        ACTIVATIONS[name],
        input_shape=(args.context,),
        classes=size,
        width=args.width,
        depth=args.depth,
        heads=args.width // 32,
    )
    tuning = SupervisedFineTuning(policy)
    tuning.compile(keras.optimizers.AdamW(3e-3, weight_decay=0.01, global_clipnorm=1.0))
    tuning.fit(training, batch_size=args.batch, epochs=args.sft_epochs, verbose=0)
    return policy, float(tuning.evaluate(validation, batch_size=args.batch, verbose=0))


def prefer(policy, weights, beta, seed, data, args):
    """Metrics on the validation pairs after DPO from `weights`."""
    training, validation = data
    policy.set_weights(weights)
    keras.utils.set_random_seed(seed)
    tuning = DirectPreferenceOptimization(policy, beta=beta)
    # The paper warms up over 150 of its steps; here over the first tenth.
    steps = len(training["chosen"]) // args.batch * args.dpo_epochs
    tuning.compile(dpo_optimizer(args.learning_rate, warmup_steps=steps // 10))
    tuning.fit(training, batch_size=args.batch, epochs=args.dpo_epochs, verbose=0)
    result = tuning.evaluate(validation, batch_size=args.batch, verbose=0, return_dict=True)
    return {name: float(result[name]) for name in METRICS}


def run_all(args):
    """Every run's result by (activation, beta, seed), from files where they are."""
    settings = {k: v for k, v in vars(args).items() if k not in ("runs", "output", "seeds")}
    settings |= {"keras": keras.__version__, "backend": keras.backend.backend()}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    folder = args.runs / key
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", settings)
    results, prepared = {}, None
    for seed in range(args.seeds):
        for name in ACTIVATIONS:
            paths = {b: folder / f"{name}-seed{seed}-beta{b}.json" for b in BETAS}
            missing = [beta for beta in BETAS if not paths[beta].is_file()]
            if missing:
                prepared = prepared or prepare(args)
                *data, size = prepared
                started = time.perf_counter()
                policy, loss = fine_tune(name, seed, data, size, args)
                weights = policy.get_weights()
                seconds = time.perf_counter() - started
                print(
                    f"{name}, seed {seed}: fine-tuned to loss {loss:.3f}, {seconds:.0f} s",
                    flush=True,
                )
            for beta in missing:
                started = time.perf_counter()
                found = prefer(policy, weights, beta, seed, data, args)
                seconds = time.perf_counter() - started
                write_json(paths[beta], {**found, "sft_loss": loss, "seconds": seconds})
                print(f"  beta {beta}: {_line(found)}, {seconds:.0f} s", flush=True)
            for beta, path in paths.items():
                results[name, beta, seed] = json.loads(path.read_text())
    return settings, results


def table(args, settings, results):
    """The results as text."""
    lines = [
        "Preference tuning of a small GPT-2 from scratch on chitchat-dataset, not on SHP or HH:",
        "the chosen reply is the real one, the rejected one comes from another conversation.",
        ", ".join(f"{name} {value}" for name, value in settings.items()),
        f"{args.seeds} seeds; validation conversations are apart from the training ones.",
        "Mean ± sample standard deviation over seeds; the difference crrelu − gelu is paired by",
        "seed, with its 95 % Student-t interval. Paper: Table 4, one run of GPT-2 (124 M) on SHP",
        "and HH.",
        "",
        "| beta | metric | gelu | crrelu | crrelu − gelu | paper gelu | paper crrelu |",
        "| --: | --- | --: | --: | --: | --: | --: |",
    ]
    for beta in BETAS:
        for column, (metric, title) in enumerate(METRICS.items()):
            values = {
                name: [results[name, beta, seed][metric] for seed in range(args.seeds)]
                for name in ACTIVATIONS
            }
            paper = [f"{PAPER[name, beta][column]:.4g}" for name in ACTIVATIONS]
            cells = [f"{beta:g}", title, *map(_spread, values.values())]
            cells += [_interval(values["crrelu"], values["gelu"]), *paper]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _line(result):
    return ", ".join(f"{title} {result[name]:.4f}" for name, title in METRICS.items())


def _spread(values):
    text = f"{np.mean(values):.4f}"
    return text if len(values) < 2 else f"{text} ± {np.std(values, ddof=1):.4f}"


def _interval(values, base):
    mean, low, high = paired_difference(values, base)
    return f"{mean:+.4f}" if low is None else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def main():
    """Run what is missing and print the table."""
    args = arguments()
    started = time.perf_counter()
    text = table(args, *run_all(args))
    print(text)
    if args.output:
        write_file(args.output, text + "\n")
    print(f"\n{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
