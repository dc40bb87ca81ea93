"""Files that are checked when they are read back, and drafts of folders."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_actfn import _files
from keras_actfn._drafts import Draft
from keras_actfn._files import (
    DamagedFile,
    append_line,
    array_checksum,
    check_files,
    file_checksums,
    read_json,
    read_lines,
    read_npz,
    write_json,
    write_npz,
)

pytestmark = pytest.mark.once

ARRAYS = {
    "floats": np.array([[1.0, np.nan], [-0.0, np.inf]]),
    "small": np.float32([1, 2, 3]),
    "none": np.zeros((0, 3), "int64"),
    "scalar": np.array(3),
    "texts": np.array(["relu(x)", "é"]),
    "no_texts": np.array([], str),
    "flags": np.array([True, False]),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(10)[::3],
}


def test_arrays_come_back(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz", "")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable
    with np.load(tmp_path / "a.npz") as file:  # for people
        np.testing.assert_array_equal(file["floats"], ARRAYS["floats"])


def test_a_checksum_depends_on_type_shape_and_bits():
    zeros = [
        np.zeros(4),
        np.zeros((2, 2)),
        np.zeros(4, "float32"),
        np.zeros(4, ">f8"),
        np.array([0.0, 0.0, 0.0, -0.0]),
        np.zeros((4, 1)),
        np.zeros(0),
        np.zeros((0, 4)),
    ]
    assert len({array_checksum(array) for array in zeros}) == len(zeros)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["json", "npz"])
def test_no_flipped_zeroed_or_missing_byte_is_passed_over(tmp_path, kind, seed):
    path = tmp_path / f"file.{kind}"
    value = {"text": "é", "numbers": [1, 2.5, None, True], "nested": {"a": 1e-300}}
    if kind == "json":
        write_json(path, value, checked=True)
    else:
        write_npz(path, **ARRAYS)
    content = path.read_bytes()
    rng = np.random.default_rng(seed)
    for _ in range(150):
        damaged = bytearray(content)
        place = int(rng.integers(len(content)))
        if rng.random() < 0.4:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif rng.random() < 0.5:
            damaged[place : place + 8] = bytes(len(damaged[place : place + 8]))
        else:
            del damaged[place : place + int(rng.integers(1, 50))]
        path.write_bytes(damaged)
        try:
            if kind == "json":
                assert read_json(path, "Do this.") == value
            else:
                found = read_npz(path, "Do this.")
                assert list(found) == list(ARRAYS)
                for name, array in ARRAYS.items():
                    np.testing.assert_array_equal(found[name], array)
        except DamagedFile as error:
            assert str(path) in str(error) and str(error).endswith(". Do this.")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[1, 2]", "it is a JSON object. Received: list"),
        ("{}", "it has no checksum"),
        ('{"a": 1, "checksum": "0123456789abcdef"}', "its checksum differs"),
        ("[" * 100_000, "nested too deeply"),
        ('{"checksum": "0", "a": ' + "[" * 970 + "]" * 970 + "}", "nested too|checksum differs"),
        ('{"checksum": "0", "a": NaN}', "not JSON compliant"),
        ("1" * 5000, "cannot be read"),
        ("", "Expecting value"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_foreign_json(tmp_path, content, problem):
    path = tmp_path / "manifest.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DamagedFile, match=problem) as error:
        read_json(path, "Build it again.")
    assert str(path) in str(error.value) and str(error.value).endswith("Build it again.")


def _bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", bytes(300 << 20))


def _lying_header(path):
    with zipfile.ZipFile(path, "w") as file, file.open("a.npy", "w") as part:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
        np.lib.format.write_array_header_1_0(part, header)


def _objects(path):
    np.savez(path, a=np.array([{}], object))


def _encrypted(path):
    np.savez(path, a=np.ones(3))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (_bomb, "would unpack to 314,572,800"),
        (_lying_header, "not as large as it says"),
        (_objects, "Python objects"),
        (_encrypted, "encrypted"),
        (lambda path: np.savez(path, a=np.ones(3)), "has no checksums"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)), "has no checksums"),
    ],
)
def test_hostile_npz(tmp_path, write, problem):
    path = tmp_path / "file.npz"
    write(path)
    with pytest.raises(DamagedFile, match=problem) as error:
        read_npz(path, "Get it again.")
    assert str(path) in str(error.value)


def test_no_file_is_no_damaged_file(tmp_path):
    for read in (read_json, read_npz):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none", "")
    assert list(read_lines(tmp_path / "none")) == []


def test_lines_come_back_and_torn_ends_are_cut_off(tmp_path):
    path = tmp_path / "lines.jsonl"
    for number in range(3):
        append_line(path, {"n": number})
    whole = path.read_bytes()
    for torn in (whole[:-1], whole[:-5], whole[: whole.index(b"\n") - 3], b'{"n'):
        path.write_bytes(torn)
        count = torn.count(b"\n")
        assert [line["n"] for line in read_lines(path)] == list(range(count))  # no warning
        append_line(path, {"n": 7})
        assert [line["n"] for line in read_lines(path)] == [*range(count), 7]
        assert path.read_bytes().count(b"\n") == count + 1


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "lines.jsonl"
    for number in range(4):
        append_line(path, {"n": number})
    path.write_bytes(path.read_bytes().replace(b'"n": 2', b'"n": 9'))
    with pytest.warns(UserWarning, match=r"lines\.jsonl cannot be read: line 3 is damaged\. What"):
        assert [line["n"] for line in read_lines(path)] == [0, 1, 3]


def test_files_of_a_folder_are_read_once_in_a_process(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("one")
    sums = file_checksums(tmp_path, ["a"])
    (tmp_path / "a").write_text("one")  # another time
    read = []
    original = _files.file_checksum
    monkeypatch.setattr(_files, "file_checksum", lambda path: read.append(path) or original(path))
    check_files(tmp_path, sums, "")
    check_files(tmp_path, sums, "")
    assert len(read) == 1
    (tmp_path / "a").write_text("two")
    with pytest.raises(DamagedFile, match=r"a cannot be read: its checksum differs\. Do"):
        check_files(tmp_path, sums, "Do.")
    (tmp_path / "a").unlink()
    with pytest.raises(DamagedFile, match="it is missing"):
        check_files(tmp_path, sums, "Do.")


# Drafts.

_HOLDER = """
import sys
from keras_actfn._drafts import Draft

draft = Draft(sys.argv[1], prefix=".draft-")
print(draft.name, flush=True)
sys.stdin.read()
"""


def test_drafts_of_dead_processes_are_removed_and_no_others(tmp_path):
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as dead, subprocess.Popen(command, **pipes) as alive:
        left, kept = dead.stdout.readline().strip(), alive.stdout.readline().strip()
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        own = Draft(tmp_path, prefix=".draft-")
        other = tmp_path / ".other-1"
        other.mkdir()
        with Draft(tmp_path, prefix=".draft-") as draft:
            found = {str(path) for path in tmp_path.iterdir()}
            assert found == {kept, own.name, draft.name, str(other)} and left not in found
        alive.stdin.close()
    assert not os.path.exists(kept) and not os.path.exists(draft.name)
    own.cleanup()
    assert [path.name for path in tmp_path.iterdir()] == [".other-1"]


def test_a_draft_that_was_moved_stays_where_it_is(tmp_path):
    with Draft(tmp_path / "new") as draft:
        (tmp_path / "new" / draft.name / "a").touch()
        os.replace(draft.name, tmp_path / "place")
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["a"]
    assert list((tmp_path / "new").iterdir()) == []


def test_json_of_people_has_no_checksum(tmp_path):
    write_json(tmp_path / "results.json", {"a": 1})
    assert json.loads((tmp_path / "results.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("name", ["", "folder", "file/below.json"])
def test_what_cannot_be_a_file_is_refused_before_it_is_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("important")
    with pytest.raises(OSError, match="Choose another name"), _files.replacing(name):
        raise AssertionError("nothing is written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
