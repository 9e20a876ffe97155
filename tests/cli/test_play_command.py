"""`ghostpad play` prints each episode's return and keeps the first episode as a clip of the length asked for."""

from pathlib import Path

import av
import pytest

from ghostpad.cli.main import main
from ghostpad.games.spec import game_spec


def test_the_clip_is_as_long_as_asked_and_every_episode_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vizdoom")
    clip = tmp_path / "clips" / "agent.mp4"
    assert main(["play", "doom", "--player", "random", "--episodes", "2", "--video", str(clip), "--seconds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "episode 0: return" in printed and "episode 1: return" in printed and "over 2 episodes" in printed
    with av.open(str(clip)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == round(2 * game_spec("doom").fps)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "either --policy RUN or --player NAME"),
        (["--player", "random", "--policy", "runs/a"], "either --policy RUN or --player NAME"),
        (["--player", "rndom"], "did you mean 'random'?"),
        (["--player", "random", "--episodes", "0"], "episodes is 0"),
        (["--player", "random", "--seconds", "nan"], "seconds is nan"),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_played(flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "doom", *flags]) == 2
    assert says in capsys.readouterr().err
