"""The scripts that `ghostpad completion` prints, run by the shells they are for (zsh and fish where they are installed)."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ghostpad.cli.main import COMMANDS, main
from ghostpad.lab.main import COMMANDS as LAB

ASKED = {
    "ghostpad tr": {"train"},
    "ghostpad train ": {"idm", "policy", "-h", "--help"},
    "ghostpad train idm --train.st": {"--train.steps"},
    "ghostpad train policy --model.encoder ": {"conv", "siglip"},
    "ghostpad train policy --train.recompute ": {"true", "false"},
    "ghostpad filter --confidence.": {"--confidence.cut"},
    "ghostpad corpus che": {"check-masks"},
    "ghostpad lab study m": {"masks"},
}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`script(shell)`: the file with what 'ghostpad completion SHELL' prints."""
    folder = tmp_path_factory.mktemp("completion")

    def write(shell: str, capsys: pytest.CaptureFixture[str]) -> Path:
        if not (folder / shell).exists():
            capsys.readouterr()
            assert main(["completion", shell]) == 0
            (folder / shell).write_text(capsys.readouterr().out, encoding="utf-8")
        return folder / shell

    return write


def run(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_setting_is_in_the_script(shell: str, script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys).read_text(encoding="utf-8")
    words = {word for name in [*COMMANDS, *LAB] for word in name.split()}
    assert all(f"'{word}': {{" in text for word in words)
    assert "'--train.steps'" in text and "'--data.batch-size'" in text and "'--tune.how'" in text and "--set'" not in text


def test_bash_completes_commands_flags_choices_and_files(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", capsys)
    ask = f'source {path}; read -ra COMP_WORDS <<< "$1"; [[ $1 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); '
    for line, wanted in ASKED.items():
        found = run("bash", "--norc", "-c", ask + '_tyro_ghostpad; printf "%s\\n" "${COMPREPLY[@]}"', "bash", line)
        assert set(found.split()) == wanted, line
    assert "-o default" in run("bash", "--norc", "-c", f"source {path}; complete -p ghostpad"), "a corpus is completed as a file"


def test_fish_completes_commands_flags_choices_and_files(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    path = script("fish", capsys)
    for line, wanted in ASKED.items():
        found = run("fish", "--no-config", "-c", f'source {path}; complete -C "{line}"', cwd=tmp_path)
        assert {words.split("\t")[0] for words in found.splitlines()} == wanted, line
    (tmp_path / "footage").mkdir()
    assert "footage/" in run("fish", "--no-config", "-c", f'source {path}; complete -C "ghostpad train idm foo"', cwd=tmp_path)


def test_zsh_reads_the_script(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("zsh", capsys)
    assert path.read_text(encoding="utf-8").startswith("#compdef ghostpad\n")
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    # What zsh would show, without a terminal: _describe is given the words, _files is asked where there are none.
    describe = "_describe() { print -rl -- ${(P)2%%:*}; }; _files() { print FILES; }; "
    for line, wanted in (ASKED | {"ghostpad train idm footage": {"FILES"}}).items():
        words = "words=(" + " ".join(f"'{word}'" for word in line.split(" ")) + "); CURRENT=$#words; "
        assert set(run("zsh", "-f", "-c", f"{describe}{words}source {path}").split()) == wanted, line


def test_a_shell_that_is_not_known_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
