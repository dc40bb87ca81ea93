"""Storages by file and URL, and studies that go on only with what they began with."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import optuna
import pytest

from keras_actfn.search.storage import (
    file_of,
    folder_of,
    is_url,
    on_disk,
    open_storage,
    open_study,
    study_named,
)

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


@pytest.mark.parametrize("suffix", ["db", "log"])
@pytest.mark.parametrize(
    "folder", ["50%20off", "what?", "a#b&c=d", "{x}", "ünï cödé", "q'\"", "a:b@c", "a;b\\c", "~$x"]
)
def test_a_path_may_have_any_characters(folder, suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = f"{folder}/s.{suffix}"
    study = open_study(open_storage(storage), "s", {})
    study.tell(study.ask(), 0.25)
    assert open_study(open_storage(tmp_path / folder / f"s.{suffix}"), "s", {}).best_value == 0.25
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert (tmp_path / folder / f"s.{suffix}").stat().st_size > 0
    assert folder_of(storage, "s").parent.name == folder


def test_urls_are_urls(tmp_path):
    """In a URL `%20` is a space, as everywhere; a path is one although it holds `://`."""
    study = open_study(open_storage(f"sqlite:///{tmp_path}/a%20b.db"), "s", {})
    study.tell(study.ask(), 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["a b.db"]
    for text in ("sqlite:///a.db", "postgresql+psycopg://host/a", "mysql://u@h/d"):
        assert is_url(text)
    for text in ("a.db", "./http://x/a.db", "50%20off/a.db", tmp_path / "a.db", "1://a.db"):
        assert not is_url(text)


@pytest.mark.parametrize("name", ["a/b", "..", "a\\b", "a:b", "50%", "ü", "a b", "*?"])
def test_a_study_of_any_name_has_a_folder_of_its_own(name, tmp_path):
    folder = folder_of(tmp_path / "x.db", name)
    assert folder.parent == tmp_path
    assert folder_of(tmp_path / "x.db", "other") != folder
    assert folder_of("postgresql://host/a", name).parent.as_posix() == "runs/search"
    assert file_of(name).parent.as_posix() == "runs/search"
    assert folder_of(file_of(name), name) == file_of(name).with_suffix("")


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


@pytest.mark.parametrize("storage", ["{}", "{}/folder.db", "{}/folder.log"])
def test_a_folder_is_no_storage(storage, tmp_path):
    for name in ("folder.db", "folder.log"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"A storage is a file.*Received: '/"):
        open_storage(storage.format(tmp_path))


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match=r"A storage is a file .* Received: ''"):
        open_storage("")
    with pytest.raises(ValueError, match="A study has a name"):
        file_of("")


def test_a_url_of_no_database_is_refused_without_its_password():
    with pytest.raises(ValueError, match=r"begins with a database .*Received: http://u:\*+@host"):
        open_storage("http://u:secret@host/x")


def test_the_file_of_a_storage(tmp_path):
    assert on_disk(f"sqlite:///{tmp_path}/a%20b.db") == tmp_path / "a b.db"
    assert on_disk("sqlite:///below/a.db") == Path("below/a.db")
    assert on_disk(tmp_path / "a.log") == tmp_path / "a.log"
    for other in ("sqlite://", "postgresql://host/a", "a://[", optuna.storages.InMemoryStorage()):
        assert on_disk(other) is None


def test_the_folder_of_an_sqlite_url_is_made(tmp_path):
    open_storage(f"sqlite:///{tmp_path}/below/a.db")
    assert (tmp_path / "below" / "a.db").is_file()


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
    with pytest.raises(ValueError, match="format is 3 there and 9 here"):
        open_study(open_storage(path), "s", {})


def test_a_study_of_another_program_is_refused(tmp_path):
    storage = open_storage(tmp_path / "search.db")
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    study.tell(study.ask(), 1.0)
    with pytest.raises(ValueError, match="has trials of another program"):
        open_study(storage, "s", {})


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "maximize"]])
def test_a_study_that_does_not_maximise_one_value_is_refused(directions, tmp_path):
    """Also while it is empty: the surrogate would seek the worst."""
    storage = open_storage(tmp_path / "search.db")
    optuna.create_study(storage=storage, study_name="s", directions=directions)
    with pytest.raises(
        ValueError, match=f"A search has one value.*{', '.join(directions)}.*study="
    ):
        open_study(storage, "s", {})
    assert optuna.load_study(study_name="s", storage=storage).user_attrs == {}


def test_a_study_by_name_or_the_only_one(tmp_path):
    path = tmp_path / "search.db"
    with pytest.raises(ValueError, match=r"Received: no file .*search\.db"):
        study_named(path, None)
    assert not list(tmp_path.iterdir())
    storage = open_storage(path)
    with pytest.raises(ValueError, match="There are: none"):
        study_named(path, None)
    open_study(storage, "a", {})
    assert study_named(path, None).study_name == "a"
    open_study(storage, "b", {})
    assert study_named(str(path), "b").study_name == "b"
    with pytest.raises(ValueError, match="There are: a, b"):
        study_named(path, None)
    with pytest.raises(ValueError, match=r"There is no study 'c' in .*search\.db"):
        study_named(path, "c")


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
    with pytest.raises(ImportError, match=r"'psycopg'.*keras-actfn\[postgresql\]"):
        open_storage("postgresql://host/name")


@pytest.mark.parametrize("password", ["se@s:ame", "ses:a@me", "s@e@s:ame", "s@e/s@ame"])
def test_a_url_that_cannot_be_read_is_shown_without_its_password(password):
    """A part of a password that should have been quoted is taken for a port."""
    with pytest.raises(ValueError, match=r"Received: postgresql://ann:\*\*\*@host/x\.") as error:
        open_storage(f"postgresql://ann:{password}@host/x")
    assert password not in str(error.value) and error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_server_that_does_not_answer_is_named_without_its_password():
    pytest.importorskip("psycopg", reason="no driver here: pip install keras-actfn[postgresql]")
    url = "postgresql://ann:sesame@127.0.0.1:1/x?connect_timeout=2"
    with pytest.raises(Exception, match="port 1") as error:
        open_storage(url)
    while error := getattr(error, "value", error):
        assert "sesame" not in str(error)
        error = error.__cause__ or error.__context__


def test_the_folder_lies_beside_the_file(tmp_path):
    assert folder_of(tmp_path / "a.db", "s") == tmp_path / "a-s"
    assert folder_of(tmp_path / "s.db", "s") == tmp_path / "s"
    assert folder_of("postgresql://host/a", "s").as_posix() == "runs/search/s"
