"""How a command ends before its work began, or by what nobody foresaw: never with a traceback."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.cli import main
from keeper.commands.demo import demo
from keeper.commands.running import (
    BROKEN,
    FAILED,
    INTERRUPTED,
    MISCONFIGURED,
    CommandFailed,
    plainly,
    run_command,
)
from keeper.devnet.packages import quiet
from keeper.devnet.stages import Wanted

PRESSED = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs behind a shell ignores it
wanted = sys.argv[1]

class Press:
    def find_spec(self, name, *_):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
from keeper.cli import main
sys.argv[1:] = ["doctor", "-c", "nowhere.yaml"]
main()
"""


@pytest.mark.parametrize("module", ["typer", "structlog"])
def test_ctrl_c_while_modules_load_ends_without_a_word(module: str) -> None:
    words = [sys.executable, "-c", PRESSED, module]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_of_a_command_is_as_before_once_modules_are_loaded() -> None:
    words = [sys.executable, "-c", PRESSED, "keeper.commands.doctor"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr


def test_what_nobody_foresaw_is_a_line_without_the_words_of_the_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandFailed) as failed, plainly():
        raise ZeroDivisionError("a key")
    assert failed.value.code == BROKEN
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: a fault of Keeper itself: ZeroDivisionError at {__file__}")


def test_what_a_command_ended_with_passes_through() -> None:
    with pytest.raises(CommandFailed) as failed, plainly():
        raise CommandFailed(MISCONFIGURED)
    assert failed.value.code == MISCONFIGURED
    with pytest.raises(BrokenPipeError), plainly():
        raise BrokenPipeError


def test_a_reader_that_has_seen_enough_is_no_fault_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def work() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command(work)
    assert not capsys.readouterr().err


def test_the_readme_names_every_exit_code() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    table = text.partition("| exit code | means |")[2].partition("\n\n")[0]
    told = {int(one) for row in table.splitlines() for one in re.findall(r"\d+", row[:12])}
    ended = {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert told == {0, FAILED, MISCONFIGURED, BROKEN, INTERRUPTED} | ended


def test_a_closed_stdout_is_no_fault_of_ours() -> None:
    words = [sys.executable, "-m", "keeper", "--help"]
    line = " ".join(map(shlex.quote, words)) + " >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


WRITES = """
import sys
from keeper.cli import app, main
from keeper.commands.console import print_json, stdout

@app.command()
def write(how: str) -> None:
    stdout.print("a line") if how == "a table" else print_json({})

sys.argv[1:] = ["write", sys.argv[1]]
main()
"""


@pytest.mark.parametrize("how", ["a table", "json"])
def test_a_stdout_on_a_full_disk_is_a_line_and_no_fault_of_ours(how: str) -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", WRITES, how]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "error: stdout: expected to write all of the results, found: No space left on device\n"
    assert (done.returncode, done.stderr) == (MISCONFIGURED, said)


def test_a_reader_that_is_gone_before_the_last_line_is_no_fault_of_ours() -> None:
    line = " ".join(map(shlex.quote, [sys.executable, "-c", WRITES, "json"]))
    ways = ["bash", "-c", f"{line} | true; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(ways, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_elsewhere_is_not_taken_for_stdouts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandFailed) as failed, plainly():
        raise OSError(28, "No space left on device")
    assert failed.value.code == BROKEN
    assert "stdout" not in capsys.readouterr().err


def test_a_demo_that_is_to_be_kept_in_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    wanted = Wanted(seed=1, borrowers=100, aave="3.0", progress=quiet)
    with pytest.raises(CommandFailed) as failed:
        run_command(lambda: demo("aave_v3", wanted, taken))
    assert failed.value.code == MISCONFIGURED
    said = f"error: --keep: {taken}: expected a folder to write to, found: File exists\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--protocol", "venos"],
            (
                "--protocol: expected one of aave_v3, morpho_blue, venus, venus_isolated, "
                "found 'venos'; did you mean 'venus'?"
            ),
        ),
        (["--aave", "4"], "--aave: expected one of 3.0, 3.6, found '4'"),
    ],
)
def test_a_demo_is_refused_before_anything_is_started(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["keeper", "demo", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == MISCONFIGURED
    assert capsys.readouterr().err == f"error: {said}\n"


STOPS = """
import asyncio, os, signal
from keeper.commands.running import run_command, stop_on_signals

async def work() -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    await asyncio.sleep(0)
    print("drained")

run_command(work)
"""


@pytest.mark.parametrize("how", ["2>/dev/full", "2> >(true)"])
def test_a_stop_drains_though_nobody_takes_what_is_said_of_it(how: str) -> None:
    """Ctrl-C ends `tee` as well: of `keeper run 2>&1 | tee log` nothing is read any more."""
    line = f"sleep 0.5 && exec {shlex.quote(sys.executable)} -c {shlex.quote(STOPS)}"
    ways = ["bash", "-c", f"{{ {line}; }} {how}"]
    done = subprocess.run(ways, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "drained\n")
