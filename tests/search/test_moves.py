"""Functions that join a search on the way: which, and that they stay the same whatever happens."""

import numpy as np
import optuna
import pytest
from small_search import points, task_of

from keras_actfn import search
from keras_actfn._files import DamagedFile
from keras_actfn.expressions import SearchSpace, neighbors, parse
from keras_actfn.search import probing
from keras_actfn.search.joined import PREFIX
from keras_actfn.search.moves import LocalMoves
from keras_actfn.search.pool import Pool
from keras_actfn.search.probe import Probe

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "relu", "tanh", "square", "zero"],
    binary=["add", "max"],
)
BASELINES = ("relu", "tanh")
INPUTS = points(32, 1)[0]
X = np.linspace(-3, 3, 61)
#: No function of the space.
TARGET = "tanh(add(x,relu(x)))"


def distance_to_target(text):
    return -float(np.abs(parse(text)(X) - parse(TARGET)(X)).mean())


def open_search(folder, **options):
    options = {"mode": "none", "baselines": BASELINES, "probes": 6, "moves": 4, **options}
    options = {"from_scratch": True, **options}
    task = task_of(distance_to_target, INPUTS)
    return search.ActivationSearch(task, SPACE, storage=folder / "s.db", study="s", **options)


def evaluations(found):
    return [row.expression for row in sorted(found.table(), key=lambda row: row.number)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search of fourteen evaluations with moves, and its folder."""
    folder = tmp_path_factory.mktemp("moves")
    found = open_search(folder)
    found.run(14)
    return found, folder


def test_a_function_outside_the_space_is_found(finished, tmp_path):
    found, _ = finished
    best = parse(found.best.expression)
    assert best not in SPACE
    with pytest.raises(ValueError, match="none of the"):
        Pool(SPACE.unique(), extra=BASELINES).find(best)
    # Closer than any function of the space, probed or not.
    of_space = max(distance_to_target(str(f)) for f in SPACE)
    assert found.best.value > of_space
    assert found.store.counts()["probed"] > 6 + 2
    assert all(row.value == distance_to_target(row.expression) for row in found.table())


def test_functions_of_the_space_that_were_not_probed_join_too(finished):
    found, _ = finished
    drawn = {*found.baseline_ids, *found.pool.draw(6, 0, found.baseline_ids)}
    joined = found.store.ids() - drawn
    own = {number for number in joined if number < len(found.pool)}
    assert own and joined - own and max(joined) < found.pool.limit


def test_going_on_adds_nothing_and_no_function_twice(finished):
    found, folder = finished
    again = open_search(folder)
    assert again.pool.names(sorted(again.store.ids())) == found.pool.names(
        sorted(found.store.ids())
    )
    before = again.table()
    again.run(14)
    assert again.table() == before
    numbers = [row.candidate for row in before]
    assert len(set(numbers)) == len(numbers)
    values = {parse(row.expression)(X).round(6).tobytes() for row in before}
    assert len(values) == len(before)
    # Without moves, the trials of joined functions are read as they are.
    open_search(folder, moves=0).run(14)


def test_the_same_evaluations_propose_the_same(finished):
    pool = Pool(SPACE.unique(), extra=BASELINES)
    known, values = [pool.find("relu"), pool.find("tanh"), pool.find("square")], [0.3, 0.5, np.nan]
    first = LocalMoves(pool).propose(6, known, values, known)
    assert first == LocalMoves(pool).propose(6, known, values, known)
    numbers = [number for number, _ in first]
    assert len(set(numbers)) == 6 and not set(numbers) & set(known)
    around = neighbors(parse("relu(x)"), SPACE.operators, 4)
    around += neighbors(parse("tanh(x)"), SPACE.operators, 4)
    for number, function in first:
        assert function in around and pool.number_of(function) == number
        assert np.isfinite(function(pool.unique.inputs)).all()
    others = LocalMoves(pool).propose(6, known, values, {*known, *numbers})
    assert not {number for number, _ in others} & set(numbers)
    assert LocalMoves(pool).propose(6, known, [np.nan] * 3, known) == []


class Killed(BaseException):
    """Ends a search at once, as a signal that nobody handles."""


@pytest.mark.parametrize("results", [9, 14])
def test_killed_while_moves_are_probed(results, finished, tmp_path, monkeypatch):
    probed = []

    def killed_after(probe, *arguments):
        if len(probed) == results:
            raise Killed
        probed.append(arguments)
        return result(probe, *arguments)

    result = Probe.result
    with monkeypatch.context() as patch:
        patch.setattr(Probe, "result", killed_after)
        patch.setattr(probing, "SHARD_RESULTS", 1)
        patch.setattr(probing._Shards, "__exit__", lambda *_: None)
        with pytest.raises(Killed):
            open_search(tmp_path).run(14)
    found = open_search(tmp_path)
    found.run(14)
    assert evaluations(found) == evaluations(finished[0])
    assert found.store.ids() == finished[0].store.ids()


def test_killed_before_a_group_is_written(finished, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    open_search(tmp_path).run(4)
    with monkeypatch.context() as patch:
        patch.setattr("keras_actfn.search.candidates.write_group", killed)
        with pytest.raises(Killed):
            open_search(tmp_path).run(14)
    found = open_search(tmp_path)
    found.run(14)
    assert evaluations(found) == evaluations(finished[0])


def test_two_workers_share_what_joins(tmp_path):
    """Each chooses among what the other proposed as well, and no function is evaluated twice."""
    workers = [open_search(tmp_path), open_search(tmp_path)]
    for evaluated in range(2, 15):
        workers[evaluated % 2].run(evaluated)
    first, second = workers
    first.candidates.join_moves()
    second.candidates.join_moves()
    assert set(first.chooser.ids) == set(second.chooser.ids)
    assert first.pool.limit == second.pool.limit > len(first.pool)
    numbers = [row.candidate for row in first.table()]
    assert len(numbers) == len(set(numbers)) == 14 and max(numbers) >= len(first.pool)
    assert first.pool.names(numbers) == second.pool.names(numbers)


def test_workers_that_know_the_same_propose_the_same(tmp_path):
    """On machines that know nothing of each other: the same group, under the same numbers."""
    groups = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        found = open_search(folder)
        found.run(2)
        found.candidates.join_moves()
        kept = found.study.user_attrs.items()
        groups.append({name: group for name, group in kept if name.startswith(PREFIX)})
    ((_, group),) = groups[0].items()
    assert groups[0] == groups[1] and len(group["functions"]) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda group: {**group, "functions": group["functions"][:-1]},
        lambda group: {**group, "functions": [[n, "relu(x)"] for n, _ in group["functions"]]},
        lambda group: {"functions": group["functions"]},
        lambda group: 7,
    ],
)
def test_a_damaged_group_is_refused_by_its_name(damage, finished, tmp_path):
    _, folder = finished
    (tmp_path / "s.db").write_bytes((folder / "s.db").read_bytes())
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    name = next(name for name in study.user_attrs if name.startswith(PREFIX))
    study.set_user_attr(name, damage(study.user_attrs[name]))
    with pytest.raises(DamagedFile, match=rf"s\.db cannot be read: '{name}' of the study 's'"):
        open_search(tmp_path)


def test_spectra_of_functions_that_joined_another_study_are_left_out(finished, tmp_path):
    found, _ = finished
    other = open_search(tmp_path, output=found.output, moves=0)
    assert set(other.chooser.ids) < set(found.chooser.ids)
    assert all(number < len(other.pool) for number in other.chooser.ids)
    other.run(4)


def test_bad_arguments(tmp_path):
    for moves in (-1, 2.5, True):
        with pytest.raises(ValueError, match=rf"moves is a whole number, .* Received: {moves}\."):
            open_search(tmp_path, moves=moves)
    with pytest.raises(ValueError, match="moves=4 with groups=2"):
        open_search(tmp_path, groups=2)
