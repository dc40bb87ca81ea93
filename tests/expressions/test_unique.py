"""Unique functions: exact counts, by brute force on small spaces, and their files."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from processes import ANY_BACKEND
from scipy import special

from keras_actfn._files import read_json, write_json
from keras_actfn.expressions import (
    SearchSpace,
    UniqueFunctions,
    coatnet,
    four_node,
    parse,
    three_node,
)
from keras_actfn.expressions.unique import sampled_inputs

once = pytest.mark.once
FLOAT32_MAX = 3.4028234663852886e38
NAN = 2**62


def grid(expression, inputs):
    """The definition, for one function: integers, with numbers far off for NaN and overflow."""
    with np.errstate(all="ignore"):
        r = expression(inputs)
        row = np.rint(np.arcsinh(r / 1e-3) / 1e-6)
        row = np.where(np.abs(r) > FLOAT32_MAX, np.sign(r) * 2.0**61, row)
        return np.where(np.isnan(r), NAN, row).astype("int64")


def minus(row):
    return np.where(row == NAN, NAN, -row)


@pytest.fixture(scope="module")
def unique():
    return three_node().unique()


@once
def test_three_node_counts(unique):
    assert unique.counts() == {
        "functions": 5103,
        "unique": 2791,
        "unique_and_finite": 2412,
        "finite": 4613,
    }


@once
def test_coatnet_count_within_library_noise():
    counts = coatnet().unique().counts()
    assert abs(counts["unique"] - 134_597) <= 27  # 0.02 %
    assert abs(counts["unique_and_finite"] - 126_425) <= 27


@once
def test_four_node_count_within_library_noise():
    counts = four_node().unique().counts()
    assert abs(counts["unique"] - 387_022) <= 100
    assert abs(counts["finite"] - 972_016) <= 100


def test_the_published_definition():
    if keras.backend.backend() == "tensorflow":
        assert len(three_node().unique(method="float32")) == 2913
    else:
        with pytest.raises(ValueError, match="holds on the TensorFlow backend only"):
            three_node().unique(method="float32")


@once
def test_three_node_classes_by_brute_force(unique):
    """Function by function, without blocks, shared parts or hashes."""
    space, inputs = three_node(), sampled_inputs(0)
    first, classes, signed = {}, [], set()
    for expression in space:
        row = grid(expression, inputs)
        classes.append(first.setdefault(row.tobytes(), len(first)))
        signed.add(frozenset((row.tobytes(), minus(row).tobytes())))
    np.testing.assert_array_equal(unique.classes, classes)
    assert len(space.unique(up_to_sign=True)) == len(signed) < len(unique)


@once
@pytest.mark.parametrize(
    "schemas",
    [
        ["unary(unary(unary(x)))", "x", "binary(x,unary(2))"],
        ["n_ary(unary(x),unary(x),unary(x))", "unary(binary(unary(x),unary(x)))"],
        ["binary(unary(binary(x,unary(x))),unary(x))"],
    ],
)
def test_other_schemas_by_brute_force(schemas):
    unary = ["zero", "negative", "reciprocal", "square", "relu", "exp", "sinh", "abs"]
    space = SearchSpace(schemas, unary=unary)
    inputs = np.array([-2.0, -0.5, 0.0, 0.25, 3.0, 90.0])
    unique = space.unique(inputs)
    first = {}
    classes = [first.setdefault(grid(f, inputs).tobytes(), len(first)) for f in space]
    np.testing.assert_array_equal(unique.classes, classes)
    for i, expression in enumerate(unique.expressions):
        with np.errstate(all="ignore"):
            expected = expression(inputs).astype("float32")
        np.testing.assert_array_equal(unique.outputs[i], expected)
        assert unique.valid[i] == np.isfinite(expected).all()


@once
def test_outputs_and_equivalents(unique):
    assert unique.outputs.dtype == np.float32 and unique.outputs.shape == (2791, 1000)
    assert isinstance(unique.outputs, np.memmap)
    i = unique.index(parse("mul(sigmoid(x),identity(x))"))
    x = unique.inputs
    np.testing.assert_allclose(unique.outputs[i], x * special.expit(x), rtol=1e-6)
    names = [str(f) for f in unique.equivalents(i)]
    assert {"add(zero(x),swish(x))", "mul(one(x),swish(x))"} < set(names)
    assert names[0] == str(unique.expressions[i])
    assert unique.index(unique.expressions[5]) == 5
    assert sum(len(unique.equivalents(j)) for j in range(len(unique))) == 5103
    with pytest.raises(IndexError, match="There are 2791 unique functions"):
        unique.equivalents(2791)


@once
def test_saving_and_loading(tmp_path, unique):
    unique.save(tmp_path / "saved")
    again = UniqueFunctions.load(tmp_path / "saved")
    for name in ("outputs", "classes", "valid", "first", "inputs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(unique, name))
    assert again.space.hash == unique.space.hash
    with pytest.raises(ValueError, match="Choose another folder"):
        unique.save(tmp_path / "saved")
    manifest = json.loads((tmp_path / "saved" / "manifest.json").read_text())
    assert manifest["unique"] == 2791 and manifest["method"] == "grid"
    assert [p.name for p in tmp_path.iterdir()] == ["saved"]


@once
def test_a_folder_answers_the_same_question_only(tmp_path):
    space = SearchSpace(["unary(unary(x))"])
    calls = []
    first = space.unique(path=tmp_path / "u", progress=lambda done, of: calls.append((done, of)))
    assert calls and calls[-1][0] == calls[-1][1]
    again = space.unique(path=tmp_path / "u", progress=lambda done, of: pytest.fail("computed"))
    np.testing.assert_array_equal(again.outputs, first.outputs)
    with pytest.raises(ValueError, match="another space, method or inputs"):
        space.unique(seed=1, path=tmp_path / "u")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ValueError, match="exists and does not hold"):
        space.unique(path=tmp_path / "other")
    with pytest.raises(ValueError, match=r"has no manifest\.json"):
        UniqueFunctions.load(tmp_path / "other")


@once
def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        three_node().unique(path=tmp_path / "u", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


SMALL = SearchSpace(["unary(unary(x))"], unary=["relu", "tanh", "square", "negative"])
STORED = ("inputs.npy", "outputs.npy", "classes.npy", "first.npy", "valid.npy")


def flip(path, place=-2):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@once
@pytest.mark.parametrize("name", STORED)
def test_a_damaged_file_is_named_or_the_space_made_again(tmp_path, name):
    first = SMALL.unique()
    SMALL.unique(path=tmp_path / "u")
    flip(tmp_path / "u" / name)
    with pytest.raises(ValueError, match=rf"u/{name} cannot be read: its checksum dif.*Delete the"):
        UniqueFunctions.load(tmp_path / "u")
    with pytest.warns(UserWarning, match=rf"u/{name} cannot be read.*is made again"):
        again = SMALL.unique(path=tmp_path / "u")
    np.testing.assert_array_equal(again.outputs, first.outputs)
    np.testing.assert_array_equal(again.classes, first.classes)
    assert [p.name for p in tmp_path.iterdir()] == ["u"]
    flip(tmp_path / "u" / name)
    with pytest.raises(ValueError, match="another space, method or inputs"):
        SMALL.unique(seed=1, path=tmp_path / "u")  # another question replaces nothing


@once
def test_a_damaged_manifest_is_an_error_and_stays(tmp_path):
    SMALL.unique(path=tmp_path / "u")
    manifest = tmp_path / "u" / "manifest.json"
    content = manifest.read_text()
    for damaged in ("[]", "", "{" * 100_000, content.replace("relu", "selu"), content[:50]):
        manifest.write_text(damaged)
        for read in (UniqueFunctions.load, lambda path: SMALL.unique(path=path)):
            with pytest.raises(
                ValueError, match=r"manifest\.json cannot be read.*Delete the folder"
            ):
                read(tmp_path / "u")
        assert manifest.read_text() == damaged


@once
@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"schemas": [None]}},
        {"space": {"schemas": ["unary(x)"], "unary": 3}},
        {"space": []},
        {"space": {"other": 1}},
        {"files": None},
        {"files": {"../../secret": "0"}},
        {"space_hash": "0"},
        {"unique": 10**400},
        {"unique": 3},
        {"method": None, "inputs": None},
    ],
)
def test_hostile_manifests(tmp_path, changes):
    """With a checksum that fits, as only a person writes it."""
    SMALL.unique(path=tmp_path / "u")
    path = tmp_path / "u" / "manifest.json"
    manifest = read_json(path, "") | changes
    write_json(path, {k: v for k, v in manifest.items() if v is not None}, checked=True)
    with pytest.raises(ValueError, match=r"cannot be read|Build it again"):
        UniqueFunctions.load(tmp_path / "u")


_BUILD = """
import sys, time
from keras_actfn.expressions import three_node

three_node().unique(path=sys.argv[1], progress=lambda *_: (print("on", flush=True), time.sleep(9)))
"""


@once
def test_what_a_killed_build_leaves_is_removed_by_the_next(tmp_path):
    command = [sys.executable, "-c", _BUILD, str(tmp_path / "u")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ANY_BACKEND) as builder:
        assert builder.stdout.readline() == b"on\n"
        (draft,) = tmp_path.iterdir()
        SMALL.unique(path=tmp_path / "other")
        assert draft.is_dir()  # its process lives
        builder.kill()
    SMALL.unique(path=tmp_path / "third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "third"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ANY_BACKEND) as builder:
        assert builder.stdout.readline() == b"on\n"
        builder.kill()
    SMALL.unique(path=tmp_path / "third")  # opened, not built
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "third"]


@once
def test_of_several_that_publish_at_once_all_open_the_same(tmp_path, monkeypatch):
    space, path = SearchSpace(["unary(x)"], unary=["relu", "tanh", "zero"]), tmp_path / "functions"
    replace = os.replace

    def after_another(source, target):
        if str(target) == str(path):
            monkeypatch.undo()
            space.unique(path=path)  # another process, a moment earlier
        replace(source, target)

    monkeypatch.setattr(os, "replace", after_another)
    found = space.unique(path=path)
    assert found.path == path and len(found) == 3
    np.testing.assert_array_equal(found.outputs, space.unique().outputs)
    assert [child.name for child in tmp_path.iterdir()] == ["functions"]


@once
def test_what_another_publishes_must_answer_the_same_question(tmp_path, monkeypatch):
    space, path = SearchSpace(["unary(x)"], unary=["relu", "tanh", "zero"]), tmp_path / "functions"
    replace = os.replace

    def after_another(source, target):
        if str(target) == str(path):
            monkeypatch.undo()
            space.unique(path=path, up_to_sign=True)
        replace(source, target)

    monkeypatch.setattr(os, "replace", after_another)
    with pytest.raises(ValueError, match="holds the unique functions of another space"):
        space.unique(path=path)
    assert [child.name for child in tmp_path.iterdir()] == ["functions"]


@once
def test_wrong_arguments():
    space = SearchSpace(["unary(x)"])
    with pytest.raises(ValueError, match="The method is one of grid, float32; got 'exact'"):
        space.unique(method="exact")
    with pytest.raises(ValueError, match="one row of one finite number or more"):
        space.unique(inputs=[np.nan])
