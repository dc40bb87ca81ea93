"""A journal whose last line was cut off is opened again."""

import errno
import json
import os
import subprocess
import sys
import warnings

import optuna
import pytest
from processes import ANY_BACKEND

from keras_actfn.search.journal import Journal
from keras_actfn.search.storage import open_storage, open_study

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_at(path):
    return open_study(open_storage(path), "s", {})


@pytest.fixture
def journal(tmp_path):
    """The path of a journal with a study of two evaluations."""
    path = tmp_path / "search.log"
    study = study_at(path)
    for value in (0.25, 0.5):
        study.tell(study.ask(), value)
    return path


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 6, "wor', b"\0" * 5000, "ü".encode()[:1]])
def test_a_torn_last_line_is_dropped_with_a_warning(torn, journal):
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    with pytest.warns(UserWarning, match=rf"{journal} was cut off \({len(torn)} bytes\)"):
        study = study_at(journal)
    assert journal.read_bytes().startswith(whole + b'{"op_code"')
    study.tell(study.ask(), 0.75)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [trial.value for trial in study_at(journal).trials] == [0.25, 0.5, 0.75]


def test_any_cut_of_the_file_is_opened(journal):
    """Whatever byte was the last one written: what whole lines say is there."""
    whole = journal.read_bytes()
    for size in range(len(whole) - 1, 0, -23):
        journal.write_bytes(whole[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = study_at(journal)
        study.tell(study.ask(), 1.0)
        assert study_at(journal).best_value == 1.0
        for line in journal.read_text(encoding="utf-8").splitlines():
            json.loads(line)


def test_a_line_torn_while_others_work_is_no_part_of_theirs(journal):
    study = study_at(journal)  # open before the other is killed
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 4, "study')
    with pytest.warns(UserWarning, match="was cut off"):
        study.tell(study.ask(), 0.75)
    assert study_at(journal).best_value == 0.75


def test_a_write_that_fails_is_taken_back(journal, monkeypatch):
    study, whole = study_at(journal), journal.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device", str(journal))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            study.set_user_attr("a", 1)
    assert journal.read_bytes() == whole
    study.set_user_attr("a", 2)
    assert study_at(journal).user_attrs["a"] == 2


def test_a_killed_writer_leaves_a_readable_journal(tmp_path):
    path = tmp_path / "search.log"
    program = (
        "import sys, optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.WARNING)\n"
        "from keras_actfn.search.storage import open_storage, open_study\n"
        "study = open_study(open_storage(sys.argv[1]), 's', {})\n"
        "for i in range(10**6):\n"
        "    study.set_user_attr('a', 'x' * 200_000)\n"
        "    print(i, flush=True)\n"
    )
    command = [sys.executable, "-c", program, path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ANY_BACKEND)
    while process.stdout.readline() != b"3\n":
        assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()
    (path.parent / "search.log.lock").unlink(missing_ok=True)  # Optuna would wait 30 s for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(study_at(path).user_attrs["a"]) == 200_000


def test_damage_in_the_middle_is_an_error_with_the_file(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b'{"op{"op_code": 1}\n', *lines[2:]]))
    with pytest.raises(ValueError, match=rf"{journal} has another line .* choose another storage"):
        study_at(journal)


def test_an_empty_file_and_one_without_any_line_end(tmp_path):
    path = tmp_path / "search.log"
    path.touch()
    assert list(Journal(path).read_logs(0)) == []
    path.write_bytes(b"{" * 200_000)
    with pytest.warns(UserWarning, match="200000 bytes"):
        assert list(Journal(path).read_logs(0)) == []
