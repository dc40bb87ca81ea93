"""Storages by file and URL, and studies that go on only with what they began with."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import optuna
import pytest

from keras_actfn.search.storage import folder_of, open_storage, open_study

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)
KINDS = ["search.db", "search.sqlite", "search.log", "search.journal"]


@pytest.mark.parametrize("name", KINDS)
def test_a_file_keeps_trials(name, tmp_path):
    path = tmp_path / "below" / name
    study = open_study(open_storage(path), "s", {"space": "a"})
    study.tell(study.ask(), 0.25)
    again = open_study(open_storage(str(path)), "s", {"space": "a"})
    assert again.best_value == 0.25
    assert again.direction == optuna.study.StudyDirection.MAXIMIZE


@pytest.mark.parametrize("name", ["{}/search.db", "{}/search.log", "sqlite:///{}/search.db"])
def test_workers_that_start_at_the_same_moment(name, tmp_path):
    storage, workers = name.format(tmp_path), 6
    together = Barrier(workers)

    def start(_):
        together.wait()
        study = open_study(open_storage(storage), "s", {"space": "a"})
        study.tell(study.ask(), 0.5)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(start, range(workers)))
    assert len(open_study(open_storage(storage), "s", {"space": "a"}).trials) == workers
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_database_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "search.db"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            open_storage(path)
    assert list(tmp_path.iterdir()) == []


def test_a_url_and_a_storage(tmp_path):
    url = f"sqlite:///{tmp_path / 'search.db'}"
    study = open_study(open_storage(url), "s", {})
    study.tell(study.ask(), 0.5)
    assert optuna.load_study(study_name="s", storage=url).best_value == 0.5
    storage = optuna.storages.InMemoryStorage()
    assert open_storage(storage) is storage


def test_a_file_of_another_kind():
    with pytest.raises(ValueError, match=r"A storage is a file ending in \.db.*Received: 'a\.txt'"):
        open_storage("a.txt")


def test_another_space_is_refused(tmp_path):
    path = tmp_path / "search.db"
    open_study(open_storage(path), "s", {"space": "a", "seed": 0})
    with pytest.raises(ValueError, match='differs: space is "a" there and "b" here'):
        open_study(open_storage(path), "s", {"space": "b", "seed": 0})
    open_study(open_storage(path), "other", {"space": "b", "seed": 0})


def test_another_version_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "search.db"
    open_study(open_storage(path), "s", {})
    monkeypatch.setattr("keras_actfn.search.storage.FORMAT", 9)
    with pytest.raises(ValueError, match="format is 2 there and 9 here"):
        open_study(open_storage(path), "s", {})


def test_a_study_of_another_program_is_refused(tmp_path):
    storage = open_storage(tmp_path / "search.db")
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    study.tell(study.ask(), 1.0)
    with pytest.raises(ValueError, match="has trials of another program"):
        open_study(storage, "s", {})


def test_a_study_that_another_worker_begins_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "search.db"
    look = optuna.Study.get_trials

    def begun_before(study, **options):
        monkeypatch.undo()
        other = open_study(open_storage(path), "s", {"space": "a"})
        other.tell(other.ask(), 0.5)
        return look(study, **options)

    monkeypatch.setattr(optuna.Study, "get_trials", begun_before)
    assert len(open_study(open_storage(path), "s", {"space": "a"}).trials) == 1


def test_a_server_without_its_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"'psycopg'.*pip install keras-actfn\[postgresql\]"):
        open_storage("postgresql://host/name")


def test_the_folder_lies_beside_the_file(tmp_path):
    assert folder_of(tmp_path / "a.db", "s") == tmp_path / "a-s"
    assert folder_of(tmp_path / "s.db", "s") == tmp_path / "s"
    assert folder_of("postgresql://host/a", "s").as_posix() == "runs/search/s"
