"""What the command line says when it is interrupted, or its disk is full."""

import signal
import subprocess
import sys

import pytest
import typer

from keras_actfn import cli

pytestmark = pytest.mark.once


@pytest.fixture
def command(monkeypatch):
    """A function that replaces all commands by one, `go`, that raises an error or calls."""

    def replace(error):
        def build_app():
            app = typer.Typer()

            @app.command()
            def go(output: str = "runs"):
                if callable(error):
                    error()
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


def test_a_write_that_finds_the_disk_full_names_the_file(tmp_path):
    from keras_actfn._files import replacing

    def write():
        with replacing(tmp_path / "x.json"), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(OSError, match="No space left") as error:
        write()
    assert error.value.filename == str(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_finds_the_disk_full_names_the_folder(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("keras_actfn.expressions.store.OutputWriter.append", _full)
    assert cli.main(["space", "build", "unary(x)", "--output", str(tmp_path / "u")]) == 1
    line = f"keras-actfn: [Errno 28] No space left on device: '{tmp_path / 'u'}'\n"
    assert capsys.readouterr().err.endswith(line)
    assert list(tmp_path.iterdir()) == []


def _full(self, rows):
    with open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_is_an_interrupt(command, capsys, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # nohup, for one, has ignored SIGHUP
    try:
        command(lambda: signal.raise_signal(number))
        assert cli.main(["go"]) == 130
        assert capsys.readouterr().err == "keras-actfn: interrupted\n"
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


PARENT = """
import subprocess, sys, time
from keras_actfn.cli.search import _end

def start(reaction):
    code = f"import signal, time; signal.signal(signal.SIGTERM, {reaction}); print(1, flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", code + "; time.sleep(600)"], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process

processes = [start("lambda *_: exit(3)"), start("signal.SIG_IGN")]
_end(processes, seconds=1.0)
print([process.returncode for process in processes])
"""


def test_workers_are_waited_for_and_killed_where_they_do_not_end():
    run = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout == "[3, -9]\n"
