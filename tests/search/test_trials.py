"""What is read back from a study: checked, and refused by the trial's number."""

import sqlite3

import optuna
import pytest

from keras_actfn._files import DamagedFile
from keras_actfn.expressions import SearchSpace
from keras_actfn.search import claims
from keras_actfn.search.evaluating import evaluate_next
from keras_actfn.search.objective import Evaluation
from keras_actfn.search.pool import Pool
from keras_actfn.search.storage import open_storage, open_study
from keras_actfn.search.trials import check_trials, checksum, readable

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

POOL = Pool(SearchSpace(["unary(x)"], ["relu", "tanh", "exp", "square"]).unique())


@pytest.fixture(params=["s.db", "s.log"])
def path(request, tmp_path):
    """A storage with four evaluations, of which one failed, and one that was cut off."""
    path = tmp_path / request.param
    study = open_study(open_storage(path), "s", {})
    for number in range(4):
        study.enqueue_trial({claims.CANDIDATE: number})
        found = Evaluation(None if number == 2 else number / 7, {"seconds": 0.5})
        evaluate_next(study, POOL, lambda _, found=found: found, 4)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    return path


def read(path, pool=POOL):
    with readable(path):
        study = open_study(open_storage(path), "s", {}, place=path)
        check_trials(study, path, pool)
    return study


def test_what_was_written_is_read(path):
    assert [t.value for t in read(path).trials] == [0.0, 1 / 7, None, 3 / 7, None]
    read(path, pool=None)


#: What is changed in SQLite and in a journal, and what is said of it.
CHANGES = {
    "a value": (
        "UPDATE trial_values SET value = 0.75 WHERE trial_id = 4",
        (b"0.42857142857142855", b"0.42857142857142755"),
        "trial 3 of the study 's': its checksum",
    ),
    "no value": (
        "UPDATE trial_values SET value_type = 'INF_POS', value = NULL WHERE trial_id = 2",
        (b"0.14285714285714285", b"Infinity"),
        "trial 1 of the study 's': its (checksum|value)",
    ),
    "an expression": (
        "UPDATE trial_user_attributes SET value_json = '\"tanh(x)\"' "
        "WHERE key = 'expression' AND trial_id = 1",
        (POOL.names([0])[0].encode(), POOL.names([1])[0].encode()),
        "trial 0 of the study 's': its checksum",
    ),
    "a failure": (
        "DELETE FROM trial_user_attributes WHERE key = 'diverged' AND trial_id = 3",
        (b'"diverged":true', b'"divergee":true'),
        "trial 2 of the study 's': its checksum",
    ),
    "a state": (
        "UPDATE trials SET state = 'COMPLETF' WHERE trial_id = 4",
        (b'"state":1', b'"state":9'),
        "s.(db|log) cannot be read: .*(COMPLETF|TrialState)",
    ),
    "JSON": (
        "UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'lease'",
        (b'"values":null', b'"values":n'),
        "(s.db cannot be read|s.log has another line)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused(path, change):
    statement, (old, new), message = CHANGES[change]
    if path.suffix == ".db":
        with sqlite3.connect(path) as database:
            assert database.execute(statement).rowcount
        database.close()
    else:
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read(path)


def test_a_damaged_page_is_refused(path):
    if path.suffix == ".db":
        content = bytearray(path.read_bytes())
        content[8192:65536] = bytes(65536 - 8192)
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match=r"s\.db cannot be read: .* Restore it from a copy"):
            read(path)


def test_functions_of_another_pool_are_refused(path):
    other = Pool(SearchSpace(["unary(x)"], ["relu", "tanh", "elu", "square"]).unique())
    with pytest.raises(DamagedFile, match=r"trial .*: (its expression .* none|function .* is not)"):
        read(path, other)


def test_a_study_that_lost_its_name_is_not_begun_again(path):
    if path.suffix == ".db":
        with sqlite3.connect(path) as database:
            database.execute("UPDATE studies SET study_name = 't'")
        database.close()
        with pytest.raises(ValueError, match=r"keeps its name.*s\.db, which is called 't' now"):
            read(path)


def test_a_lease_that_is_none_is_refused(path):
    study = read(path)
    study.ask().set_user_attr("lease", {"machine": 1})
    with pytest.raises(DamagedFile, match="trial 5 of the study 's': its lease is"):
        read(path)


def test_zero_has_no_sign():
    """SQLite reads -0.0, the negative of an exact distance, as 0.0."""
    assert checksum(1, -0.0, {}) == checksum(1, 0.0, {}) != checksum(1, 1e-300, {})
