"""What goes wrong on the command line: a status that is not 0, sentences that name the file and the way out, no traceback."""

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ghostpad.base.records import Video
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.idm.settings import IdmRun


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command that has to fail with a status and returns its sentences."""

    def run(words: list[Any], status: int) -> list[str]:
        assert main([str(word) for word in words]) == status
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line.startswith("ghostpad: error: ")]
        assert lines and "Traceback" not in captured.err
        return [line.removeprefix("ghostpad: error: ") for line in lines]

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["corpus", "status", "NO"],
        ["corpus", "proxy", "NO"],
        ["train", "idm", "NO", "--out", "RUN"],
        ["train", "policy", "NO", "--out", "RUN"],
        ["label", "NO", "--idm", "RUN"],
        ["filter", "NO"],
        ["eval", "idm", "RUN", "NO", "--truth", "TRUTH"],
    ],
)
def test_a_corpus_that_is_not_there_is_one_sentence(words: list[str], fails: Any, tmp_path: Path) -> None:
    found = fails([str(tmp_path / word) if word.isupper() else word for word in words], 1)
    assert len(found) == 1 and str(tmp_path / "NO") in found[0] and "ghostpad record" in found[0]
    assert not (tmp_path / "RUN").exists() and not (tmp_path / "NO").exists()


def test_an_unknown_game_or_player_gets_the_nearest(fails: Any) -> None:
    assert fails(["eval", "policy", "--games", "dooom", "--players", "novice"], 2) == ["no game called 'dooom': did you mean 'doom'?"]
    (found,) = fails(["eval", "policy", "--games", "doom", "--players", "novvice", "--episodes", "1"], 2)
    assert "did you mean 'novice'?" in found


def test_who_plays_and_how_often_are_both_told(fails: Any) -> None:
    found = fails(["eval", "policy", "--games", "doom", "--players", "--episodes", "0"], 2)
    assert len(found) == 2 and "name the RUN of a policy, or --players" in found[0] and "episodes is 0" in found[1]


@pytest.mark.parametrize("kind", ["idm", "policy"])
def test_every_wrong_setting_is_told_at_once_with_the_nearest_name(kind: str, small: Any, fails: Any, tmp_path: Path) -> None:
    words = ["train", kind, small.novice, "--out", tmp_path / "run", "--model.dimm=3", "--train.steps", "0",
             "--data.batch_size=many", "--model.encoder", "sigclip"]  # fmt: skip
    found = fails(words, 2)
    assert len(found) == 4
    assert "no flag called '--model.dimm': did you mean '--model.dim'?" in found
    assert any("--train.steps is 0" in line for line in found) and any("--data.batch-size is many" in line for line in found)
    assert "--model.encoder is sigclip: input should be 'conv' or 'siglip'" in found
    assert not (tmp_path / "run").exists()


def test_mistyped_flags_get_the_nearest_and_the_old_way_is_told_the_new_one(small: Any, fails: Any, tmp_path: Path) -> None:
    words = ["train", "idm", small.novice, "--out", tmp_path / "run"]
    assert fails([*words, "--steps", "200", "--recpie=x"], 2) == [
        "no flag called '--steps': did you mean '--train.steps'?", "no flag called '--recpie': did you mean '--recipe'?",
    ]  # fmt: skip
    (found,) = fails([*words, "--set", "train.steps=200", "data.batch_size=8"], 2)
    assert "write --train.steps 200 --data.batch-size 8" in found
    assert "write --train.steps 200" in fails([*words, "--set=train.steps=200"], 2)[0]
    assert "'more' is a word too many" in fails(["corpus", "status", small.novice, "more"], 2)[0]
    assert "name the IDM to start from, --init RUN" in fails([*words, "--tune.encoder", "trainable"], 2)[0]


def test_flags_go_before_the_recipe_and_the_recipe_before_the_defaults(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[IdmRun] = []

    def stop(corpora: list[Path], out: Path, run: IdmRun, init: Path | None) -> None:
        runs.append(run)
        raise KeyboardInterrupt

    monkeypatch.setattr("ghostpad.idm.train.train_idm", stop)
    (tmp_path / "recipe.toml").write_text("[train]\nsteps = 7\nlr = 0.5\n[model]\nrate_hz = 20.0\nmirror = true\n")
    words = ["train", "idm", str(small.novice), "--out", str(tmp_path / "run"), "--recipe", str(tmp_path / "recipe.toml")]
    flags = ["--train.lr", "0.25", "--model.rate-hz", "none", "--model.mirror", "false", "--data.reencode-crf", "28", "32"]
    assert main([*words, *flags]) == 130
    (run,) = runs
    assert (run.train.steps, run.train.lr, run.train.seed) == (7, 0.25, IdmRun().train.seed)
    assert run.model.rate_hz is None and run.model.mirror is False and run.data.reencode_crf == (28, 32)


def test_flags_without_a_value_and_recipes_that_are_not_there(small: Any, fails: Any, tmp_path: Path) -> None:
    words = ["train", "idm", small.novice, "--out", tmp_path / "run"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in [*words, "--train.steps"]])
    assert ended.value.code == 2
    assert "no.toml does not exist" in fails([*words, "--recipe", tmp_path / "no.toml"], 1)[0]
    (tmp_path / "bad.toml").write_text("[train\nsteps = 3")
    assert "bad.toml is not TOML" in fails([*words, "--recipe", tmp_path / "bad.toml"], 2)[0]
    (tmp_path / "odd.toml").write_text("train = 3")
    for more in ([], ["--train.steps", "3"]):  # a flag does not hide what is wrong with the recipe
        assert "odd.toml: train is 3" in fails([*words, "--recipe", tmp_path / "odd.toml", *more], 2)[0]
    (tmp_path / "two.toml").write_text("[train]\nstepz = 3")
    found = fails([*words, "--recipe", tmp_path / "two.toml", "--model.dim", "3"], 2)
    assert len(found) == 2 and "two.toml: no setting called 'train.stepz'" in found[1] and found[0].startswith("--model.dim is 3")


def test_a_run_of_another_layout_or_kind_is_refused(small: Any, idm_run: Path, fails: Any, tmp_path: Path) -> None:
    run = shutil.copytree(idm_run, tmp_path / "run")
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace("nitrogen-25/1", "xbox-17/1"))
    (found,) = fails(["label", small.wild, "--idm", run], 1)
    assert str(run) in found and "'xbox-17/1'" in found and "make it again" in found
    (found,) = fails(["eval", "policy", idm_run, "--games", "doom", "--episodes", "1"], 1)
    assert "holds a model of kind 'idm', a 'policy' is needed" in found
    (run / "run.json").write_text("{")
    assert "is not JSON" in fails(["label", small.wild, "--idm", run], 1)[0]


def test_a_corpus_without_pads_or_labels_says_which_command_makes_them(small: Any, fails: Any, tmp_path: Path) -> None:
    (found,) = fails(["train", "idm", small.wild, "--out", tmp_path / "run"], 1)
    assert "no video" in found and "ghostpad record" in found
    (found,) = fails(["train", "policy", small.wild, "--out", tmp_path / "run"], 1)
    assert "neither recorded pads nor labels: run 'ghostpad label" in found
    (found,) = fails(["train", "policy", small.wild, "--out", tmp_path / "run", "--oracle", tmp_path / "no"], 1)
    assert "no folder of true rows" in found


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 16000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_file_with_sound_alone_is_reported_and_the_rest_is_labelled(
    small: Any, idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus.open(shutil.copytree(small.wild, tmp_path / "wild"))
    sound_only(corpus.root / "videos" / "song.mp4")
    corpus.add_video(Video(id="song"))
    assert main(["label", str(corpus.root), "--idm", str(idm_run)]) == 1
    told = capsys.readouterr()
    assert "1 videos" in told.out and "  song: " in told.out and "song.mp4" in told.out and "Traceback" not in told.err
    assert corpus.video("song") == Video("song"), "reading it changed nothing"


def test_a_whole_process_prints_one_sentence_and_its_status(small: Any, tmp_path: Path) -> None:
    words = ["train", "idm", str(small.novice), "--out", str(tmp_path / "run"), "--model.dimm=3"]
    done = subprocess.run([sys.executable, "-m", "ghostpad", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "ghostpad: error: no flag called '--model.dimm': did you mean '--model.dim'?\n"


@pytest.mark.parametrize("kind", ["idm", "policy"])
def test_a_training_on_no_corpus_is_refused(kind: str, fails: Any, tmp_path: Path) -> None:
    (problem,) = fails(["train", kind, "--out", tmp_path / "run"], 2)
    assert "no CORPUS is named" in problem and not (tmp_path / "run").exists()
