"""`record`, `corpus proxy` and `status` from the command line, on real footage of a real game."""

import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghostpad.base.pad import PAD_DIM
from ghostpad.base.records import LABELS, Video, actions_table
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.summary import summarise
from ghostpad.feed.make_segments import make_segments
from ghostpad.feed.window import WindowSpec
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard
from ghostpad.lab.made_up.videos import write_sample
from ghostpad.video.decode import decode_frames

SPEC = WindowSpec((0, 1), (0,), 96, 64, True)
RECORD = ["record", "racing", "--player", "novice", "--minutes", "0.1", "--seed", "3"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("record") / "corpus"
    assert main([*RECORD, "--out", str(out)]) == 0
    return out


def segments(corpus: Corpus, picture: str = SPEC.picture) -> dict[str, Path]:
    """The mp4 of each video with segments, by its id."""
    return {path.stem.rpartition("-")[0]: path for path in (corpus.root / "segments" / picture).glob("*.mp4") if isinstance(path, Path)}


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*")) if path.is_file()}


def test_record_makes_a_corpus_and_again_changes_nothing(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(recorded)
    assert any(name.startswith("videos/") for name in before) and any(name.startswith("actions/recorded/") for name in before)
    assert main([*RECORD, "--out", str(recorded)]) == 0
    assert files(recorded) == before
    assert "0 of them recorded now" in capsys.readouterr().out


def test_withheld_truth_lies_beside_the_corpus(recorded: Path, tmp_path: Path) -> None:
    assert main([*RECORD, "--out", str(tmp_path / "wild"), "--withhold"]) == 0
    assert not Corpus.open(tmp_path / "wild").sources()
    truth = {path.name: path.read_bytes() for path in (tmp_path / "wild-truth").iterdir()}
    assert truth == {path.name: path.read_bytes() for path in (recorded / "actions" / "recorded").iterdir()}


@pytest.mark.parametrize(
    "flags, message",
    [
        (["record", "racin"], "did you mean 'racing'?"),
        (["record", "racing", "--player", "novise"], "did you mean 'novice'?"),
        (["record", "racing", "--minutes", "-1"], "minutes is -1"),
        (["record", "racing", "--truth", "x"], "add --withhold"),
    ],
)
def test_what_cannot_be_recorded_says_why(flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--out", str(tmp_path / "corpus")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_proxy_makes_segments_once_and_reports_what_it_cannot_read(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = Corpus.open(recorded)
    good = corpus.ok_ids()
    (recorded / "videos" / "torn.mp4").write_bytes(b"not a video")
    corpus.add_video(Video(id="torn", path="videos/torn.mp4"))
    corpus.add_video(Video(id="gone", path="videos/gone.mp4"))
    assert main(["corpus", "proxy", str(recorded)]) == 1
    assert f"{len(good)} videos (0.1 min) made, 0 made before\n" in (printed := capsys.readouterr().out)
    assert "2 videos cannot be read" in printed and "  gone: " in printed and "  torn: " in printed
    assert corpus.ok_ids() == sorted([*good, "gone", "torn"]) and sorted(segments(corpus, "128x96-gray")) == good
    times = {path: path.stat().st_mtime_ns for path in (recorded / "segments").rglob("*.*")}
    assert len(times) == 3 * len(good), "pictures, index and rows"
    assert main(["corpus", "proxy", str(recorded)]) == 1
    assert f"0 videos (0.0 min) made, {len(good)} made before" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in (recorded / "segments").rglob("*.*")}

    summary = summarise(corpus)
    assert summary["broken"] == summary["broken_videos"] == {} and summary["by_state"].keys() == {"ok"}, "reading changes no status"
    assert summary["proxies"] == {"128x96-gray": len(good)}
    assert main(["corpus", "status", str(recorded)]) == 0
    printed = capsys.readouterr().out
    assert ["racing", "novice", "recorded", "by", "ghostpad", "ok"] in [line.split()[:6] for line in printed.splitlines()]
    assert f"next: ghostpad train idm {recorded}" in printed
    assert f"segments of 128x96-gray: {len(good)} videos" in printed


def test_segments_are_made_again_when_a_mask_comes_to_be_known(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    write_sample(tmp_path / "c" / "videos" / "a.mp4", width_px=96, height_px=64, fps=30, frames=20)
    corpus.add_video(Video(id="a"))
    assert make_segments(corpus, SPEC).made == 1 and make_segments(corpus, SPEC).present == 1
    for box in ((60.0, 40.0, 20.0, 16.0), (8.0, 8.0, 20.0, 16.0)):
        before = segments(corpus)["a"]
        corpus.add_video(Video(id="a", overlay_px=box, overlay_of_px=(96, 64)))
        assert make_segments(corpus, SPEC).made == 1 and make_segments(corpus, SPEC).present == 1
        assert not before.exists() and list(segments(corpus)) == ["a"], "the old ones are gone"
        frame = next(iter(decode_frames(segments(corpus)["a"], gray=True))).image
        x, y, wide, high = map(int, box)
        assert abs(frame[y : y + high, x : x + wide].astype(int) - 128).max() < 12


@pytest.mark.parametrize("size", [None, 0, 100, -1])
@pytest.mark.parametrize("suffix", ["mp4", "index", "rows"])
def test_d03_what_was_cut_off_or_deleted_is_made_again(suffix: str, size: int | None, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    write_sample(tmp_path / "c" / "videos" / "a.mp4", width_px=96, height_px=64, fps=30, frames=60)
    corpus.add_video(Video(id="a"))
    corpus.write_actions(
        "recorded", "a", actions_table(np.arange(59) / 30, np.zeros((59, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
    )
    assert make_segments(corpus, SPEC).made == 1
    before = files(tmp_path / "c" / "segments")
    (hurt,) = (tmp_path / "c" / "segments").rglob(f"*.{suffix}")
    if size is None:
        hurt.unlink()
    else:
        hurt.write_bytes(hurt.read_bytes()[:size])
    assert make_segments(corpus, SPEC).made == (suffix != "rows") and files(tmp_path / "c" / "segments") == before
    assert make_segments(corpus, SPEC).present == 1


def test_segments_are_for_a_model_a_recipe_or_a_run(small: Any, idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = shutil.copytree(small.novice, tmp_path / "c", ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "recipe.toml").write_text("[model]\nwidth_px = 40\nheight_px = 32\n")
    recipe = ["--recipe", str(tmp_path / "recipe.toml")]
    for flags in (["--like", str(idm_run)], ["--like", "policy"], recipe, [*recipe, "--engine", "pool", "--workers", "2"]):
        assert main(["corpus", "proxy", str(corpus), *flags]) == 0
    assert "0 videos (0.0 min) made, 2 made before" in capsys.readouterr().out
    made = {path.name for path in (corpus / "segments").iterdir()}
    assert {"64x48-gray", "40x32-gray"} < made and len(made) == 3
    assert main(["corpus", "proxy", str(corpus), "--like", "idmm"]) == 2
    assert main(["corpus", "proxy", str(corpus), "--like", str(idm_run), *recipe]) == 2
    assert main(["corpus", "proxy", str(corpus), "--engine", "here", "--workers", "2"]) == 2
    told = capsys.readouterr().err
    assert "did you mean 'idm'?" in told and "leave --recipe out" in told and "'here' is one process" in told


def test_an_impossible_size_is_refused_and_breaks_no_video(recorded: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    corpus.add_video(Video(id="a", path="videos/a.mp4", duration_s=1.0))
    (tmp_path / "recipe.toml").write_text("[model]\nwidth_px = 0\n")
    assert main(["corpus", "proxy", str(tmp_path), "--recipe", str(tmp_path / "recipe.toml")]) == 2
    assert corpus.ok_ids() == ["a"]


def test_status_for_programs_counts_hours_and_rows(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "status", str(recorded), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    group = next(group for group in told["groups"] if group["status"] == "ok")
    assert group["game"] == "racing" and group["hours"] == pytest.approx(0.1 / 60)
    assert told["sources"] == {"recorded": {"videos": group["videos"], "hours": group["hours"]}} and told["verdicts"] == {}


def test_status_of_labels_footage_and_both_says_what_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(tmp_path / "SHARD_0000.tar.gz", sample_files([SampleChunk(id, 0, 60, duration_s=2) for id in ("here", "gone")]))
    for name, width_px in (("here", 64), ("wild", 80)):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_sample(tmp_path / "in" / f"{name}.mp4", width_px=width_px, height_px=48, fps=30, frames=60)
    (tmp_path / "in" / "torn.mp4").write_bytes(b"no video")
    corpus = str(tmp_path / "c")
    assert main(["corpus", "index", str(tmp_path / "SHARD_0000.tar.gz"), "--out", corpus]) == 0
    assert main(["corpus", "add", corpus, str(tmp_path / "in"), "--game", "hades"]) == 1, "one file is torn"
    capsys.readouterr()
    assert main(["corpus", "status", corpus]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{corpus}: 4 videos, 0.00 h, 2 chunks of labels" and len(told) < 24 and max(map(len, told[1:6])) < 100
    table = {tuple(line.split()[::2][:3]) for line in told[2:6]}
    assert table == {("celeste", "youtube", "1"), ("hades", "added", "1")}
    states = {(line.split()[0], line.split()[3]) for line in told[2:6]}
    assert states == {("celeste", "ok"), ("celeste", "missing"), ("hades", "ok"), ("hades", "broken")}
    assert "missing: not fetched yet: 1 videos" in told and any(line.startswith("broken: ") and "(torn)" in line for line in told)
    steps = [line.removeprefix("next: ghostpad ").replace(corpus, "C").split("  ")[0] for line in told if line.startswith("next: ")]
    assert steps == [
        "corpus fetch C", "corpus add C FILES", "corpus align C", "train idm C --out RUN", "label C --idm RUN",
    ]  # fmt: skip
    assert main(["corpus", "status", corpus, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert {"videos", "chunks", "hours", "by_game", "by_state", "broken"} <= summary.keys()
    assert (summary["videos"], summary["chunks"], sum(summary["broken"].values())) == (4, 2, 1)
    assert {name: amount["videos"] for name, amount in summary["by_state"].items()} == {"ok": 2, "missing": 1, "broken": 1}
    assert {name: amount["videos"] for name, amount in summary["by_game"].items()} == {"celeste": 2, "hades": 2}
    assert summary["undone"] == {"align": 1, "copy": 2, "label": 1, "learn": 1}


def test_an_empty_corpus_has_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_segments(Corpus.create(tmp_path), SPEC).made == 0
    assert main(["corpus", "status", str(tmp_path)]) == 0
    assert "0 videos" in capsys.readouterr().out


def test_a_mask_is_set_checked_and_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, root = Corpus.create(tmp_path / "c"), str(tmp_path / "c")
    write_sample(tmp_path / "c" / "videos" / "a.mp4", width_px=96, height_px=64, fps=30, frames=20)
    corpus.put_videos([Video("a", game="doom"), Video("b", status="missing", width_px=1920, height_px=1080), Video("c", status="missing")])
    assert main(["corpus", "set-mask", root, "a", "--box", "60", "40", "20.5", "16"]) == 0
    assert f"next: ghostpad corpus check-masks {root}" in capsys.readouterr().out
    assert corpus.video("a") == Video("a", game="doom", overlay_px=(60, 40, 20.5, 16), overlay_by="hand"), "measured in its own picture"
    before = corpus.list_videos()
    assert main(["corpus", "set-mask", root, "a", "b", "c", "aa", "--box", "1200", "800", "300", "200"]) == 2
    told = capsys.readouterr().err
    assert "a: the box [1200.0, 800.0, 300.0, 200.0] reaches beyond a picture of 96 x 64: --of" in told
    assert "c: the size of its picture is not known" in told and "no video called 'aa': did you mean 'a'?" in told
    for box in (["0", "0", "96", "64"], ["5", "5", "0", "9"], ["nan", "0", "9", "9"], ["-4", "0", "9", "9"]):
        assert main(["corpus", "set-mask", root, "a", "--box", *box]) == 2 and "error: a: " in capsys.readouterr().err
    for flags in ([], ["--none", "--box", "1", "1", "9", "9"], ["--of", "9", "9"]):
        assert main(["corpus", "set-mask", root, "a", *flags]) == 2 and "either --box" in capsys.readouterr().err
    assert corpus.list_videos() == before, "nothing is written where something does not fit"
    assert main(["corpus", "set-mask", root, "a", "b", "c", "--box", "1200", "800", "300", "200", "--of", "1920", "1080"]) == 0
    assert [video.overlay_of_px for video in corpus.list_videos()] == [(1920, 1080)] * 3
    corpus.write_actions("idm-x", "a", LABELS.empty_table())
    capsys.readouterr()
    assert main(["corpus", "set-mask", root, "a", "--none"]) == 0
    assert "idm-x was made with the old mask" in capsys.readouterr().out
    assert corpus.video("a") == Video("a", game="doom", overlay_by="hand") and corpus.video("b").overlay_px is not None


def test_status_counts_what_a_loop_over_the_videos_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, draw = Corpus.create(tmp_path), random.Random(0)
    path = "videos/{}.mp4".format
    reasons = {"ok": None, "missing": "not fetched yet", "broken": f"{tmp_path / path('ID')} breaks off"}
    videos = []
    for id in (f"v{number:03d}" for number in range(300)):
        status = draw.choice(["ok", "missing", "broken"])
        length = {
            "duration_s": draw.choice([None, 60.0]),
            "frames": draw.choice([None, 900]),
            "fps": draw.choice([None, "30/1", "30000/1001"]),
        }
        names = {"game": draw.choice([None, "doom", "hades"]), "player": draw.choice([None, "p"]), "labels": draw.choice([None, "raw"])}
        reason = (reasons[status] or "").replace("ID", id) or None
        videos.append(Video(id, status=status, reason=reason, attempts=draw.choice([0, 2]), size_bytes=10, **length, **names))
    corpus.put_videos(videos)
    for folder, share in (("actions/recorded", 0.5), ("actions/idm-a", 0.3), ("segments/64x48-gray", 0.2), ("segments/128x96-gray", 0.6)):
        (tmp_path / folder).mkdir(parents=True)
        for video in (video for video in videos if draw.random() < share):
            (tmp_path / folder / f"{video.id}{'.index' if 'segments' in folder else '.parquet'}").touch()
    told = summarise(corpus)

    def hours(some: Iterable[Video]) -> float:
        rates = {None: math.inf, "30/1": 30, "30000/1001": 30000 / 1001}
        return sum(min(one.duration_s or 0, one.frames / rates[one.fps] if one.frames and one.fps else math.inf) for one in some) / 3600

    def stems(folder: str) -> set[str]:
        return {file.stem for file in (tmp_path / folder).iterdir()}

    groups = {(one["game"], one["source"], one["player"], one["status"]): (one["videos"], one["hours"]) for one in told["groups"]}
    for key in {(one.game, one.source, one.player, one.status) for one in videos}:
        members = [one for one in videos if (one.game, one.source, one.player, one.status) == key]
        assert groups.pop(key) == (len(members), pytest.approx(hours(members)))
    assert not groups and told["hours"] == pytest.approx(hours(videos)) and told["videos"] == told["size_bytes"] / 10 == 300
    assert {game: one["videos"] for game, one in told["by_game"].items()} == Counter(one.game or "" for one in videos)
    assert told["missing"] == {"not fetched yet": sum(one.status == "missing" for one in videos)}
    assert told["broken_videos"] == {"it breaks off": [one.id for one in videos if one.status == "broken"]}
    assert told["attempts"] == {"2": sum(one.attempts == 2 for one in videos)}
    labelled = [one for one in videos if one.id in stems("actions/idm-a")]
    assert told["sources"]["idm-a"] == {"videos": len(labelled), "hours": pytest.approx(hours(labelled))}
    assert told["proxies"] == {"64x48-gray": len(stems("segments/64x48-gray")), "128x96-gray": len(stems("segments/128x96-gray"))}
    ok, recorded = [one for one in videos if one.status == "ok"], stems("actions/recorded")
    assert told["undone"] == {
        "align": sum(one.id in recorded and one.labels is not None for one in ok),
        "copy": sum(one.id not in stems("segments/128x96-gray") for one in ok),
        "label": sum(one.id not in recorded | stems("actions/idm-a") for one in ok),
        "learn": sum(one.id in recorded for one in ok),
    }


def test_status_of_many_groups_fits_a_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Corpus.create(tmp_path).put_videos(Video(f"v{number}", player=f"p{number}", duration_s=60.0 * number) for number in range(40))
    assert main(["corpus", "status", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) < 24 and "p39" in told[2] and "  and 30 more groups: see --json" in told
