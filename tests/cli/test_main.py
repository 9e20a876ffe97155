"""The front door: finds commands, suggests the nearest, and turns errors into one line and an exit status."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ghostpad import __version__
from ghostpad.cli import main as cli
from ghostpad.cli.main import COMMANDS, main


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_list_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed and command.summary in printed for name, command in COMMANDS.items())


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ghostpad {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_leads_to_a_documented_function(name: str) -> None:
    command = COMMANDS[name]
    assert getattr(import_module(command.module), command.function).__doc__


def test_an_unknown_command_gets_the_nearest_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recrod", "doom"]) == 2
    assert capsys.readouterr().err == "ghostpad: error: no command called 'recrod': did you mean 'record'?\n"


def test_half_a_command_and_a_wrong_second_word(capsys: pytest.CaptureFixture[str]) -> None:
    pair = {f"train {word}": cli.Command("ghostpad.cli.corpus_status", "status", "x") for word in ("idm", "policy")}
    assert [cli.run("ghostpad", {"": pair}, ["train", *word]) for word in ([], ["--help"], ["idn"])] == [2, 2, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == lines[1] == "ghostpad: error: 'train' needs a second word: train idm, train policy"
    assert lines[2] == "ghostpad: error: no command called 'train idn': did you mean 'train idm'?"


def test_an_unknown_flag_exits_with_2_and_names_the_nearest() -> None:
    done = subprocess.run([sys.executable, "-m", "ghostpad", "corpus", "status", "x", "--jsn"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--json" in done.stderr


def test_a_users_error_is_lines_on_stderr_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ghostpad", "corpus", "status", "no/such/corpus"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("ghostpad: error: ") and "no/such/corpus" in done.stderr and "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback_and_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*words: object) -> int:
        raise ZeroDivisionError

    def interrupt(*words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupt)
    assert main([]) == 130
    monkeypatch.setattr(cli, "_dispatch", bug)
    with pytest.raises(ZeroDivisionError):
        main([])


def test_the_laboratory_without_an_installed_ghostpad_says_what_to_do() -> None:
    root = str(Path(cli.__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from ghostpad.cli.main import main; sys.exit(main(['lab', '--help']))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd="/", capture_output=True, text=True, timeout=60)  # -S: no site-packages
    assert done.returncode == 2 and "'ghostpad lab' needs ghostpad to be installed" in done.stderr and "pip install -e" in done.stderr
