"""SFT and DPO by hand, and the readers of preference files."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_actfn.applications import GPT2
from reference.preference import dpo_loss, log_softmax, sequence_log_probability

from keras_actfn.finetuning import preference
from keras_actfn.finetuning.preference import (
    DirectPreferenceOptimization,
    LinearWarmup,
    SupervisedFineTuning,
    dpo_optimizer,
)
from keras_actfn.finetuning.preference_data import (
    Preference,
    WordTokenizer,
    encode,
    read_hh,
    read_shp,
)


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def gpt2(seed=0):
    model = GPT2("crrelu", input_shape=(12,), classes=20, width=8, depth=1, heads=2)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0.1, 0.3, w.shape).astype("float32") for w in model.weights])
    return model


def pairs(n=8, seed=0):
    """Arrays of pairs with answers of different lengths."""
    rng = np.random.default_rng(seed)
    data = {}
    for name in ("chosen", "rejected"):
        data[name] = rng.integers(0, 20, (n, 10)).astype("int32")
        ends = rng.integers(5, 11, n)
        data[f"{name}_mask"] = (np.arange(10) >= 3) & (np.arange(10) < ends[:, None])
    return data


def reference_of(model, data, name):
    logits = to_numpy(model(data[name]))
    return np.array(
        [
            sequence_log_probability(*row)
            for row in zip(logits, data[name], data[f"{name}_mask"], strict=True)
        ]
    )


def test_dpo_reports_the_reference_values_and_trains_the_policy_only():
    policy, frozen, data = gpt2(0), gpt2(1), pairs()
    log_probabilities = [
        reference_of(model, data, name)
        for model in (policy, frozen)
        for name in ("chosen", "rejected")
    ]
    tuning = DirectPreferenceOptimization(policy, frozen, beta=0.5, label_smoothing=0.1)
    tuning.compile(dpo_optimizer(1e-3, warmup_steps=0))
    np.testing.assert_allclose(
        tuning.predict(data, batch_size=8, verbose=0), np.transpose(log_probabilities), rtol=1e-4
    )
    losses = [dpo_loss(*row, 0.5, 0.1) for row in np.transpose(log_probabilities)]
    chosen, rejected = (0.5 * (log_probabilities[i] - log_probabilities[i + 2]) for i in range(2))
    assert 0 < (chosen > rejected).mean() < 1
    before = policy.get_weights(), frozen.get_weights()
    history = tuning.fit(data, batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {"loss", "reward_margin", "reward_accuracy"}
    np.testing.assert_allclose(history["loss"][0], np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(history["reward_margin"][0], (chosen - rejected).mean(), rtol=1e-4)
    np.testing.assert_allclose(history["reward_accuracy"][0], (chosen > rejected).mean(), rtol=1e-6)
    assert history["loss"][1] < history["loss"][0]
    for old, new in zip(before[1], frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert all(
        np.abs(a - b).max() > 0 for a, b in zip(before[0], policy.get_weights(), strict=True)
    )
    assert frozen.trainable


@pytest.mark.once
def test_the_reference_is_a_copy_of_the_policy_by_default():
    policy, data = gpt2(), pairs()
    tuning = DirectPreferenceOptimization(policy, beta=2.0)
    tuning.compile("sgd")
    result = tuning.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(result["loss"], np.log(2), rtol=1e-5)
    assert result["reward_margin"] == result["reward_accuracy"] == 0
    policy.set_weights([w + 0.1 for w in policy.get_weights()])
    assert tuning.evaluate(data, verbose=0, return_dict=True)["reward_margin"] != 0


def test_loss_of_margins():
    margins = np.array([-30.0, -1.0, 0.0, 0.5, 30.0], "float32")
    for smoothing in (0.0, 0.2):
        expected = [dpo_loss(m, 0, 0, 0, 1.0, smoothing) for m in (-1.0, 0.0, 0.5)]
        actual = to_numpy(preference.dpo_loss(keras.ops.convert_to_tensor(margins), smoothing))
        np.testing.assert_allclose(actual[1:4], expected, rtol=1e-5)
        # −log σ(m) is −m far below zero and nothing far above.
        np.testing.assert_allclose(
            actual[[0, 4]], [30 * (1 - smoothing), 30 * smoothing], atol=1e-4
        )


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "trl_dpo.json").read_text())


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda case: f"beta_{case['beta']}_{case['label_smoothing']}"
)
def test_loss_and_rewards_of_trl(case):
    # Float32 on purpose, though the values are in float64: one pair's loss is 4800.
    given = np.array(list(GOLDEN["log_probabilities"].values()), "float32").T
    policy = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    tuning = DirectPreferenceOptimization(policy, beta=case["beta"])
    margins = tuning.margins(keras.ops.convert_to_tensor(given))
    rewards = [np.array(case[f"{name}_rewards"]) for name in ("chosen", "rejected")]
    np.testing.assert_allclose(to_numpy(margins), rewards[0] - rewards[1], rtol=1e-4, atol=1e-5)
    losses = preference.dpo_loss(margins, case["label_smoothing"])
    np.testing.assert_allclose(to_numpy(losses), case["losses"], rtol=1e-4, atol=1e-6)


def test_supervised_fine_tuning_is_cross_entropy_of_the_answers():
    policy, data = gpt2(), pairs()
    table = log_softmax(to_numpy(policy(data["chosen"])))
    terms = [
        -table[i, t - 1, data["chosen"][i, t]]
        for i in range(8)
        for t in range(1, 10)
        if data["chosen_mask"][i, t]
    ]
    tuning = SupervisedFineTuning(policy)
    tuning.compile("adam")
    history = tuning.fit(data, batch_size=8, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], np.mean(terms), rtol=1e-4)
    assert history[1] < history[0]


@pytest.mark.once
def test_warm_up():
    schedule = LinearWarmup(1e-3, 4)
    rates = [float(to_numpy(schedule(step))) for step in range(7)]
    np.testing.assert_allclose(rates, [2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3, 1e-3], rtol=1e-6)
    optimizer = dpo_optimizer()
    assert optimizer.global_clipnorm == 10.0
    np.testing.assert_allclose(float(to_numpy(optimizer.learning_rate)), 5e-7 / 151, rtol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"beta": 0}, "beta is positive. Received: beta=0"),
        ({"label_smoothing": 0.5}, r"at least 0 and below 0.5. Received: label_smoothing=0.5"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        DirectPreferenceOptimization(gpt2(), **arguments)


@pytest.mark.once
def test_policy_as_its_own_reference():
    policy = gpt2()
    with pytest.raises(ValueError, match=r"shares no variables .*clone_model"):
        DirectPreferenceOptimization(policy, policy)


@pytest.mark.once
def test_a_sequence_beyond_the_context():
    tuning = SupervisedFineTuning(gpt2())
    tuning.compile("adam")
    data = {"chosen": np.zeros((2, 14), "int32"), "chosen_mask": np.ones((2, 14), bool)}
    with pytest.raises(ValueError, match=r"at most 12 tokens. Received: 13 tokens"):
        tuning.fit(data, verbose=0)


def write(path, records):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A joke?\n\nAssistant: Knock knock",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A joke?\n\nAssistant: No",
}
SHP = {
    "post_id": "x",
    "history": "Why is bread round?",
    "human_ref_A": "It isn't.",
    "human_ref_B": "Tension.",
    "labels": 0,
    "score_ratio": 2.5,
}


@pytest.mark.once
@pytest.mark.parametrize("name", ["hh.jsonl", "hh.jsonl.gz"])
def test_hh(name, tmp_path):
    earlier = dict(HH, rejected=HH["rejected"].replace("A joke?", "A poem?"))
    found = list(read_hh(write(tmp_path / name, [HH, earlier])))
    prompt = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A joke?\n\nAssistant:"
    assert found[0] == Preference(prompt, " Knock knock", " No")
    assert found[1].prompt == "\n\nHuman: Hi\n\nAssistant:"
    assert found[1].rejected == " Hello\n\nHuman: A poem?\n\nAssistant: No"


@pytest.mark.once
def test_shp(tmp_path):
    records = [SHP, dict(SHP, labels=1), dict(SHP, score_ratio=1.2)]
    path = write(tmp_path / "train.json", records)
    found = list(read_shp(path))
    prompt = "\n\nHuman: Why is bread round?\n\nAssistant:"
    assert found[0] == Preference(prompt, " Tension.", " It isn't.")
    assert found[1] == Preference(prompt, " It isn't.", " Tension.")
    assert len(found) == 3
    assert len(list(read_shp(path, min_score_ratio=2.0))) == 2


@pytest.mark.once
def test_readers_hold_one_line_at_a_time(tmp_path):
    path = write(tmp_path / "hh.jsonl", [HH, {"chosen": ""}])
    stream = read_hh(path)
    assert next(stream).chosen == " Knock knock"
    with pytest.raises(ValueError, match="line 2"):
        next(stream)


@pytest.mark.once
@pytest.mark.parametrize(
    ("read", "record", "match"),
    [
        (read_hh, {"chosen": HH["chosen"]}, "line 1, is not a preference: it lacks 'rejected'"),
        (read_hh, {"chosen": "a", "rejected": "b"}, "Both dialogues begin with the same prompt"),
        (read_hh, dict(HH, rejected=HH["chosen"]), "two different answers"),
        (read_hh, dict(HH, rejected=None), "chosen and rejected are texts"),
        (read_hh, ["a"], "a line is a JSON object"),
        (
            read_shp,
            dict(SHP, human_ref_A=" "),
            "two answers that are not empty. Received: rejected",
        ),
        (read_shp, dict(SHP, human_ref_B=None), "not empty. Received: chosen=None"),
        (read_shp, dict(SHP, labels=2), "labels is 0 or 1. Received: 2"),
        (read_shp, {"history": "a"}, "it lacks 'human_ref_A'"),
    ],
)
def test_lines_without_a_preference(read, record, match, tmp_path):
    path = write(tmp_path / "data.jsonl", [record])
    with pytest.raises(ValueError, match=match):
        list(read(path))
    with pytest.warns(UserWarning, match="1 lines hold no preference"):
        assert list(read(path, invalid="skip")) == []


@pytest.mark.once
@pytest.mark.once
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-20],
        lambda content: content[:30] + b"\xff\xff\xff" + content[33:],
        lambda content: b"\0" + content[1:],
        lambda content: gzip.compress('{"chosen": "é"}'.encode("latin1")),
    ],
)
def test_a_damaged_file_is_named(damage, tmp_path):
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(damage(gzip.compress(json.dumps(HH).encode() + b"\n", mtime=0)))
    for read in (read_hh, read_shp):
        with pytest.raises(ValueError, match=r"train\.jsonl\.gz.*download the file again"):
            list(read(path, invalid="skip"))


@pytest.mark.once
@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"score_ratio": 1' + "0" * 400 + "}", '{"a": 1' + "0" * 5000 + "}"]
)
def test_hostile_lines_are_no_preferences(line, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1, is not a preference"):
        list(read_shp(path, min_score_ratio=2.0))
    with pytest.warns(UserWarning, match="1 lines hold no preference"):
        assert not list(read_shp(path, min_score_ratio=2.0, invalid="skip"))


@pytest.mark.once
def test_an_endless_line_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_actfn._texts._LARGEST_LINE", 1000)
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress(b"a" * 100_000))
    with pytest.raises(ValueError, match="a line of 1,000 characters or more"):
        next(read_hh(path))


def test_line_that_is_no_json(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("{broken\n")
    with pytest.raises(ValueError, match="line 1, is not a preference"):
        list(read_hh(path))
    with pytest.raises(ValueError, match="invalid is 'raise' or 'skip'"):
        read_hh(path, invalid="ignore")


class Letters:
    """One token a letter; 0 ends a text."""

    end = 0

    def encode(self, text):
        return [ord(letter) - 96 for letter in text]


@pytest.mark.once
def test_encoding():
    data = encode([Preference("abc", "de", "f"), Preference("", "g", "hi")], Letters())
    assert data["chosen"].tolist() == [[1, 2, 3, 4, 5, 0], [0, 7, 0, 0, 0, 0]]
    assert data["rejected"].tolist() == [[1, 2, 3, 6, 0, 0], [0, 8, 9, 0, 0, 0]]
    assert data["chosen_mask"].tolist() == [
        [False] * 3 + [True] * 3,
        [False, True, True] + [False] * 3,
    ]
    assert data["rejected_mask"].sum(1).tolist() == [2, 3]


@pytest.mark.once
def test_truncation_keeps_the_end_of_the_prompt_and_the_start_of_the_answer():
    data = encode([Preference("abcde", "fghi", "j")], Letters(), max_length=6, max_prompt=3)
    assert data["chosen"].tolist() == [[3, 4, 5, 6, 7, 8]]
    assert data["rejected"].tolist() == [[3, 4, 5, 10, 0, 0]]


@pytest.mark.once
def test_what_cannot_be_encoded():
    with pytest.raises(ValueError, match=r"at least one preference to encode. Received: none"):
        encode([], Letters())
    with pytest.raises(ValueError, match="max_prompt=8 and max_length=8"):
        encode([Preference("a", "b", "c")], Letters(), 8, 8)
    words = WordTokenizer(["a b"], 10)
    words.encode = lambda text: [] if text == "c" else [2]
    with pytest.raises(ValueError, match=r"An answer has at least one token.*'c'"):
        encode([Preference("a", "b", "c")], words)


@pytest.mark.once
def test_words():
    tokenizer = WordTokenizer(["It's fine, it's\nfine.", "fine"], size=6)
    tokens = tokenizer.encode("FINE it's\nbad")
    assert tokens == [2, 3, tokenizer.encode("\n")[0], 1]
    assert tokenizer.size == 6
    assert tokenizer.decode([*tokens[:2], 0]) == "fine it's"


@pytest.mark.once
def test_chitchat():
    import chitchat_dataset

    from keras_actfn.finetuning.chitchat import chitchat_preferences

    arguments = {"turns": 2, "replies": 2, "limit": 300, "seed": 3}
    training, validation = chitchat_preferences(**arguments)
    assert (training, validation) == chitchat_preferences(**arguments)
    assert 0 < len(validation) < len(training) <= 540
    # What the package's own reader gives: chosen replies follow their prompts there.
    talks = [[text.strip() for text in talk] for talk in chitchat_dataset.ConversationDataset()]
    follows = {pair for talk in talks for pair in pairwise(talk)}
    texts = {text for talk in talks for text in talk}
    actual = [(p.prompt.split("\n")[-2], p.chosen) in follows for p in training + validation]
    assert np.mean(actual) > 0.9  # not across messages that were left out as empty
    assert all(pair.rejected in texts for pair in training + validation)
    long = [{p.prompt for p in part if len(p.prompt) > 80} for part in (training, validation)]
    assert all(long)
    assert not long[0] & long[1]
    with pytest.raises(ValueError, match=r"held_out=0.0"):
        chitchat_preferences(held_out=0.0)
