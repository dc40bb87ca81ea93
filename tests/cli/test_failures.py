"""What the command line says when it is interrupted, or its disk is full or read-only."""

import errno
import os
import sqlite3

import pytest
import typer

from keras_actfn import cli
from keras_actfn.cli.disks import disk_problem

pytestmark = pytest.mark.once


@pytest.fixture
def command(monkeypatch):
    """A function that replaces all commands by one, `go`, that raises an error."""

    def replace(error):
        def build_app():
            app = typer.Typer()

            @app.command()
            def go(output: str = "runs"):
                raise error

            @app.command()
            def other():
                pass

            return app

        monkeypatch.setattr(cli, "build_app", build_app)

    return replace


def test_an_interrupt_is_said(command, capsys):
    command(KeyboardInterrupt())
    assert cli.main(["go"]) == 130
    assert capsys.readouterr().err == "keras-actfn: interrupted\n"


def test_an_interrupt_before_the_command_is_said(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    for name in ("build_app", "require"):
        monkeypatch.setattr(cli, name, interrupted)
        assert cli.main(["space", "build", "three_node"]) == 130
        assert capsys.readouterr().err == "keras-actfn: interrupted\n"


@pytest.mark.parametrize(
    ("number", "problem"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "read-only")],
)
def test_the_disk_of_a_file_is_named(command, capsys, tmp_path, number, problem):
    path = str(tmp_path / "a" / "b.npz")
    command(OSError(number, os.strerror(number), path))
    assert cli.main(["go"]) == 1
    mount = next(p for p in (tmp_path, *tmp_path.parents) if os.path.ismount(p))
    error = capsys.readouterr().err
    assert error.startswith(f"keras-actfn: The disk at {mount} is {problem}: {path} cannot be")
    assert error.count("\n") == 1


def test_a_full_disk_below_a_library_is_named(command, capsys, tmp_path):
    """SQLite's own error, as others wrap it."""
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("create table t (x)")
    connection.execute("pragma max_page_count = 3")
    try:
        with pytest.raises(sqlite3.OperationalError) as full:
            for _ in range(100):
                connection.execute("insert into t values (randomblob(2000))")
    finally:
        connection.close()
    wrapped = RuntimeError("An exception is raised during the commit.")
    wrapped.__cause__ = full.value
    command(wrapped)
    assert cli.main(["go", "--output", str(tmp_path / "out")]) == 1
    assert f"is full: {tmp_path / 'out'} cannot be written" in capsys.readouterr().err


def test_a_write_that_finds_the_disk_full_names_the_file(tmp_path):
    from keras_actfn._files import replacing

    def write():
        with replacing(tmp_path / "x.json"), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(OSError, match="No space left") as error:
        write()
    assert error.value.filename == str(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_written(tmp_path):
    path = tmp_path / "s.db"
    sqlite3.connect(path).execute("create table t (x)").connection.close()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as error:
        connection.execute("insert into t values (1)")
    connection.close()
    assert f"{path} cannot be written" in disk_problem(error.value, ["x", f"--storage={path}"])
    assert disk_problem(error.value, ["--storage=postgresql://a:b@c/d"]).count("//") == 0


def test_other_errors_are_none_of_the_disk(command, capsys):
    assert disk_problem(ValueError("commit"), []) is None
    assert disk_problem(FileNotFoundError(errno.ENOENT, "no", "x"), []) is None
    command(ValueError("A rule. Received: x."))
    assert cli.main(["go"]) == 1
    assert capsys.readouterr().err == "keras-actfn: A rule. Received: x.\n"
