"""`ghostpad eval policy`: everybody meets the same episodes however many processes play, beside clips, offline measures and a page."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from ghostpad.base.files import append_json, read_json_lines
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.games.players import normalized_return
from ghostpad.games.spec import game_spec, make_game
from ghostpad.policy import evaluate as score
from ghostpad.policy.evaluate import Contestant, _batch_size, evaluation_seeds, median_episode, score_games
from ghostpad.policy.model import Policy
from ghostpad.policy.play import PolicyActor, watch_episode
from ghostpad.policy.settings import PolicySettings

SMALL = ["--model.width-px=32", "--model.height-px=24", "--model.dim=16", "--model.heads=2", "--model.depth=2", "--model.conv-width=4",
         "--model.draws=1", "--data.batch-size=8", "--train.steps=3", "--train.threads=1"]  # fmt: skip


@pytest.fixture(scope="module")
def run(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished policy of Doom that has learned next to nothing."""
    out = tmp_path_factory.mktemp("policy") / "run"
    assert main(["train", "policy", str(small.novice), "--out", str(out), *SMALL]) == 0
    return out


def test_a_report_has_rows_a_clip_of_the_median_and_offline_measures(
    run: Path, small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "eval.json", tmp_path / "page.html"
    words = ["eval", "policy", str(run), "--episodes", "3", "--seeds", "7", "--players", "random", "--corpora", str(small.wild)]
    assert main([*words, "--truth", str(small.truth), "--out", str(out), "--html", str(page), "--seconds", "1"]) == 0
    report = json.loads(out.read_text())
    assert [game["game"] for game in report["games"]] == ["doom"], "the game it learned from"
    policy, random = report["games"][0]["rows"]
    assert (policy["run"], random["player"], policy["n"]) == (str(run), "random", 3)
    assert policy["seeds"] == random["seeds"] == evaluation_seeds(7, 3)
    clip = report["games"][0]["clip"]
    assert clip["return"] == sorted(policy["returns"])[1] == policy["returns"][clip["episode"]]
    with av.open(clip["path"]) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == round(game_spec("doom").fps)
    (offline,) = report["offline"]
    assert offline["game"] == "doom" and offline["minutes"] == pytest.approx(1 / 6, abs=0.01)
    assert set(offline["rows"]["sticks"]) == {"left_y", "right_x"} and len(offline["chunk_error"]["by_row"]) == 8
    assert all(0 < error < 2 for error in offline["chunk_error"]["by_row"])
    printed = capsys.readouterr().out
    assert "random 0, expert 1" in printed and "chunk error" in printed
    text = page.read_text(encoding="utf-8")
    assert "data:video/mp4" in text and "What it would do next" in text and "median return" in text


def test_neither_a_pool_of_processes_nor_a_clip_changes_an_episode(run: Path) -> None:
    """Of an agent and a scripted player, whatever torch's threads are; the clip's pads, played again, bring the return that was scored."""
    players, seeds = [Contestant(run), Contestant(player="random")], evaluation_seeds(1, 2)
    alone = score_games(["racing"], players, seeds)
    torch.set_num_threads(2)
    assert score_games(["racing"], players, seeds, workers=2) == alone
    row = alone[0]["rows"][0]
    place = median_episode(row)
    shown = watch_episode("racing", Contestant(run).actor("racing"), row["seeds"][place], 10_000)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    game = make_game("racing")
    game.reset(row["seeds"][place])
    assert sum(game.step(pad).reward for _, pad in shown) == pytest.approx(row["returns"][place])
    assert len(shown) == row["frames"][place] and row["returns"][place] == min(row["returns"])


def test_episodes_are_spread_over_the_processes_unless_a_batch_is_shared(run: Path) -> None:
    scripted, small = Contestant(player="random").actor("racing"), Contestant(run).actor("racing")
    large = PolicyActor(small.policy, batch=1) if isinstance(small, PolicyActor) else scripted
    assert [_batch_size(scripted, episodes, workers) for episodes, workers in ((20, 0), (100, 4), (20, 4), (3, 8))] == [20, 20, 5, 1]
    assert _batch_size(small, 20, 4) == 20 and _batch_size(large, 20, 4) == 5


def test_a_killed_evaluation_goes_on_where_it_was(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was played is played again; what another policy played is not taken for it; nothing is left over."""
    whole, out, ledger = tmp_path / "whole.json", tmp_path / "eval.json", tmp_path / ".eval.json.played"
    words = ["eval", "policy", str(run), "--games", "racing", "--episodes", "3", "--players", "random", "expert", "--out"]
    assert main([*words, str(whole)]) == 0
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not read_json_lines(ledger):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert not out.exists()
    append_json(ledger, {"game": "racing", "who": "policy 0123456789ab", "episodes": [{"seed": 1, "return_": 9.0, "frames": 1}]})
    before = {wave["who"] for wave in read_json_lines(ledger)} - {"policy 0123456789ab"}
    played: list[str] = []
    play = score._play
    monkeypatch.setattr(score, "_play", lambda job: (played.append(job.who.key), play(job))[1])
    assert main([*words, str(out)]) == 0
    assert before and before.isdisjoint(played) and len(before) + len(played) == 3
    assert json.loads(out.read_text()) == json.loads(whole.read_text()) and not ledger.exists()


@pytest.mark.parametrize(("returns", "place"), [([1.0, 5.0, 3.0], 2), ([4.0, 1.0, 2.0, 3.0], 2), ([7.0], 0), ([2.0, 2.0, 2.0], 1)])
def test_the_median_episode_is_the_lower_of_two(returns: list[float], place: int) -> None:
    assert median_episode({"returns": returns}) == place


def test_the_scale_between_random_and_expert() -> None:
    assert (normalized_return(5, 0, 10), normalized_return(-17, -50, 600), normalized_return(1, 3, 3)) == (
        0.5,
        pytest.approx(33 / 650),
        None,
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--players"], ["nobody plays", "nothing to play"]),
        (["--games", "dom"], ["did you mean 'doom'?"]),
        (["--games", "doom", "--players", "exprt", "--episodes", "0"], ["did you mean 'expert'?", "episodes is 0"]),
        (["--games", "doom", "--corpora", "a", "--seconds", "nan"], ["name its RUN", "1 --corpora and 0 --truth", "seconds is nan"]),
        (["--games", "doom", "--seeds", "a"], ["--seeds is 'a'"]),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_played(
    words: list[str], says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "policy", *words]) == 2
    told = capsys.readouterr().err
    assert all(one in told for one in says), told


def test_a_run_that_is_no_policy_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "policy", str(tmp_path / "nothing"), "--games", "doom"]) == 1
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.parametrize("shift", [0, 3])
def test_offline_measures_are_those_of_what_the_policy_says(small: Any, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    """A policy that always says half left is wrong by exactly that, in the rows that are due."""
    from ghostpad.base.pad import slot
    from ghostpad.base.records import pads_of
    from ghostpad.corpus.folder import truth_table
    from ghostpad.policy.offline import offline_measures

    settings = PolicySettings(width_px=32, height_px=16, dim=16, heads=2, depth=2, conv_width=4, action_shift=shift)
    policy = Policy(settings, {"slots": ["right_x"]}).eval()

    def half_left(self: Policy, frames: torch.Tensor, noise: torch.Tensor, game: str | None = None) -> torch.Tensor:
        pads = torch.zeros(*noise.shape[:3], 25)
        pads[..., slot("right_x")] = -0.5
        return pads

    monkeypatch.setattr(Policy, "act_draws", half_left)
    (found,) = offline_measures(policy, [(small.wild, small.truth)])
    tables = [truth_table(small.truth, path.stem) for path in small.truth.glob("*.parquet")]
    turns = [pads_of(table)[0][:, slot("right_x")] for table in tables if table is not None]
    chunks = [turn[start + shift : start + shift + 8] for turn in turns for start in range(0, len(turn), 4)]
    wanted = np.abs(np.concatenate(chunks) + 0.5)
    assert found["chunk_error"]["mean"] == pytest.approx(wanted.mean(), abs=1e-4)
    assert found["rows"]["sticks"]["right_x"]["mae"] == pytest.approx(
        np.abs(np.concatenate([turn[shift:] for turn in turns]) + 0.5).mean(), abs=1e-4
    )
    assert set(found["rows"]["sticks"]) == {"right_x"} and found["rows"]["sticks"]["right_x"]["r2"] < 0


@pytest.mark.parametrize("command", [["policy", "--games", "racing"], ["idm", "run", "CORPUS", "--truth", "truth"]])
def test_d21_fewer_workers_than_none_are_refused(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Corpus.create(tmp_path / "c")
    words = [str(tmp_path / "c") if word == "CORPUS" else word for word in command]
    assert main(["eval", *words, "--workers", "-1"]) == 2
    assert "workers is -1" in capsys.readouterr().err


def test_offline_measures_need_withheld_pads(run: Path, small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    words = ["eval", "policy", str(run), "--episodes", "1", "--players", "--corpora", str(small.wild), "--truth", str(tmp_path / "empty")]
    assert main(words) == 1
    assert "has withheld pads: name the right --truth" in capsys.readouterr().err
