"""Recording: rows lie between frames, withheld truth is not in the corpus, and a killed recording ends with the same bytes."""

import hashlib
import resource
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import slot
from ghostpad.base.records import pads_of, read_table
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.record import episode_seed, record_corpus
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.video.decode import decode_array
from ghostpad.video.probe import probe_video, read_stamps


def files_of(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by relative name, but for the catalogue, whose files depend on its history."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "catalogue"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["doom", "racing-pedals"])
def test_row_i_is_the_pad_between_frame_i_and_the_next(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with make_game(name) as game:
        episode = record_episode(game, make_player(name, "novice"), 3, path, max_frames=40, crf=10)
        assert episode.frames == 40 == probe_video(path).frames
        assert episode.pads.shape == (39, 25) and episode.pads.dtype == np.float32
        assert np.array_equal(episode.known, game.spec.known)
        stamps = read_stamps(path)
        assert episode.pts_s.tolist() == [float(stamp) for stamp in stamps[:-1]]
        # Played again from the rows alone, the game shows the video.
        frames = [game.reset(3)] + [game.step(pad).frame for pad in episode.pads]
    decoded = decode_array(path)[1]
    for shown, recorded in zip(frames, decoded, strict=True):
        assert shown is not None and np.abs(shown.astype(int) - recorded).mean() < 6


def test_an_episode_that_ends_unseen_has_no_row_for_its_last_pad(tmp_path: Path) -> None:
    with make_game("doom-supreme") as game:
        episode = record_episode(game, make_player("doom-supreme", "novice"), 1, tmp_path / "a.mp4", max_frames=2000)
    assert probe_video(tmp_path / "a.mp4").frames == episode.frames == len(episode.pads) + 1 < 2000
    # 1 a tic for every step, and the unseen last one (at most 2 tics) brought -100.
    assert 2 * len(episode.pads) - 100 <= episode.return_ <= 2 * len(episode.pads) + 2 - 100


def test_an_episode_of_one_frame_is_refused(tmp_path: Path) -> None:
    with make_game("racing") as game, pytest.raises(SettingsError, match="max_frames is 1"):
        record_episode(game, make_player("racing", "novice"), 1, tmp_path / "a.mp4", max_frames=1)


def test_a_corpus_holds_exactly_the_minutes_asked_for(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    out = tmp_path / "corpus"
    recorded = record_corpus("doom-supreme", "novice", minutes=0.75, seed=4, out=out, progress=lambda *now: told.append(now))
    corpus = Corpus.open(out)
    rows = corpus.list_videos()
    total = round(0.75 * 60 * 17.5)
    assert sum(row.frames for row in rows) in (total, total - 1)
    assert told == [(count, total) for count in range(1, len(told) + 1)] and len(told) >= total - 1
    assert recorded.episodes == recorded.recorded_now == len(rows) >= 2
    assert recorded.mean_return == pytest.approx(np.mean([row.return_ for row in rows]))
    for number, row in enumerate(rows):
        assert row.id == f"doom-supreme-novice-s4-e{number:04d}" and row.seed == episode_seed(4, number)
        assert (row.game, row.player, row.fps, row.status) == ("doom-supreme", "novice", "35/2", "ok")
        video = corpus.video_path(row.id)
        assert row.sha256 == hashlib.sha256(video.read_bytes()).hexdigest()
        info = probe_video(video)
        assert (info.frames, info.width_px, info.height_px) == (row.frames, row.width_px, row.height_px)
        assert info.duration_s == pytest.approx(row.duration_s)
        table = corpus.actions("recorded", row.id)
        assert table is not None and table.num_rows == row.frames - 1
        pads, known = pads_of(table)
        assert set(np.flatnonzero(known.all(0))) == {slot("left_y"), slot("right_x")} == set(np.flatnonzero(known.any(0)))
        assert np.abs(pads).max() <= 1


def test_withheld_truth_is_beside_the_corpus_and_nowhere_in_it(tmp_path: Path) -> None:
    out, aside = tmp_path / "corpus", tmp_path / "corpus-truth"
    record_corpus("racing", "expert", minutes=0.05, seed=1, out=out, withhold=aside)
    record_corpus("racing", "expert", minutes=0.05, seed=1, out=tmp_path / "open")
    assert {Path(name).suffix for name in files_of(out)} == {".json", ".mp4"} and not (out / "actions").exists()
    withheld = read_table(aside / "racing-expert-s1-e0000.parquet", "actions")
    assert withheld.equals(Corpus.open(tmp_path / "open").actions("recorded", "racing-expert-s1-e0000"))
    assert Corpus.open(out).actions("recorded", "racing-expert-s1-e0000") is None


def test_truth_is_never_split_between_two_places(tmp_path: Path) -> None:
    def record(out: str, withhold: str | None) -> None:
        aside = None if withhold is None else tmp_path / withhold
        record_corpus("racing", "novice", minutes=0.02, seed=1, out=tmp_path / out, withhold=aside)

    with pytest.raises(SettingsError, match="inside the corpus"):
        record("a", "a/truth")
    record("open", None)
    with pytest.raises(SettingsError, match="in the corpus already"):
        record("open", "aside")
    record("closed", "aside")
    with pytest.raises(SettingsError, match="another --withhold"):
        record("closed", None)
    with pytest.raises(SettingsError, match="its truth is not at"):
        record("closed", "elsewhere")
    (tmp_path / "closed/recording/racing-novice-s1.json").unlink()  # an earlier version noted no --withhold in it
    with pytest.raises(SettingsError, match="its truth is not at"):
        record("closed", None)


def test_more_minutes_add_episodes_and_the_same_ones_add_nothing(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    record_corpus("racing", "novice", minutes=0.02, seed=1, out=out)
    before = files_of(out)
    assert record_corpus("racing", "novice", minutes=0.02, seed=1, out=out).recorded_now == 0
    assert files_of(out) == before
    assert record_corpus("racing", "novice", minutes=0.04, seed=1, out=out).recorded_now == 1
    assert record_corpus("racing", "novice", minutes=0.02, seed=2, out=out).recorded_now == 1
    assert before.items() <= files_of(out).items()


def test_a_killed_recording_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        call = f"record_corpus('doom-supreme', 'random', minutes=0.4, seed=9, out=Path({str(out)!r}))"
        return [sys.executable, "-c", f"from pathlib import Path\nfrom ghostpad.corpus.record import record_corpus\n{call}"]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True)
    with subprocess.Popen(command(killed)) as process:
        deadline = time.monotonic() + 60
        while not list((killed / "videos").glob("*.mp4")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    assert len(Corpus.open(killed).list_videos()) < len(Corpus.open(whole).list_videos())
    subprocess.run(command(killed), check=True)
    assert files_of(killed) == files_of(whole) and Corpus.open(killed).list_videos() == Corpus.open(whole).list_videos()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game": "racin"}, "no game called 'racin': did you mean 'racing'"),
        ({"player": "expret"}, "did you mean 'expert'"),
        ({"minutes": 0.0}, "minutes is 0.0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": 1e-5}, "less than 2 frames"),
        ({"seed": -1}, "seed is -1"),
        ({"crf": 99}, "crf is 99"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_recorded(tmp_path: Path, changes: dict, message: str) -> None:
    settings = {"game": "racing", "player": "novice", "minutes": 1.0, "seed": 0, "out": tmp_path / "corpus"} | changes
    with pytest.raises(SettingsError, match=message):
        record_corpus(settings.pop("game"), settings.pop("player"), **settings)
    assert not list(tmp_path.rglob("*.mp4"))


def test_an_episode_whose_footage_is_lost_is_recorded_again(tmp_path: Path) -> None:
    def run() -> Corpus:
        record_corpus("doom", "novice", minutes=0.4, seed=3, out=tmp_path / "c")
        return Corpus.open(tmp_path / "c")

    corpus = run()
    whole = {path: path.read_bytes() for path in sorted((tmp_path / "c").rglob("*")) if path.is_file()}
    first, *_, last = corpus.ok_ids()
    corpus.video_path(first).unlink()
    corpus.add_video(replace(corpus.video(last), status="broken", reason="a passing outage, told by an older version"))
    assert run().list_videos() == corpus.list_videos()
    assert {path: path.read_bytes() for path in whole} == whole


@pytest.mark.parametrize("kept", [None, 0, 1000], ids=["deleted", "emptied", "truncated"])
@pytest.mark.parametrize("part", ["footage", "rows"])
def test_d03_a_recorded_file_that_was_lost_or_cut_off_is_recorded_again(tmp_path: Path, part: str, kept: int | None) -> None:
    def run() -> int:
        return record_corpus("racing", "novice", minutes=0.02, seed=1, out=tmp_path).recorded_now

    assert run() == 1
    corpus, before = Corpus.open(tmp_path), files_of(tmp_path)
    videos = corpus.list_videos()
    path = corpus.video_path("racing-novice-s1-e0000") if part == "footage" else corpus.actions_path("recorded", "racing-novice-s1-e0000")
    path.unlink() if kept is None else path.write_bytes(path.read_bytes()[:kept])
    assert run() == 1 and files_of(tmp_path) == before and corpus.list_videos() == videos
    assert run() == 0


def test_a_recording_at_an_address_is_that_in_a_folder(tmp_path: Path, bucket: Any) -> None:
    command = ["record", "racing", "--player", "novice", "--minutes", "0.02", "--seed", "1", "--out"]
    for out in ("s3://bucket/c", str(tmp_path / "c")):
        assert main([*command, out]) == 0
    here, there = Corpus.open(tmp_path / "c"), Corpus.open("s3://bucket/c")
    (video,) = there.list_videos()
    assert here.list_videos() == [video] and there.video_path(video.id).read_bytes() == here.video_path(video.id).read_bytes()
    assert there.actions("recorded", video.id).equals(here.actions("recorded", video.id))
    bucket.rm(f"bucket/c/videos/{video.id}.mp4")
    assert main([*command, "s3://bucket/c"]) == 0 and there.has_footage(video)
    assert main([*command, "s3://bucket/c", "--withhold"]) == 2


def test_d20_a_recording_on_a_full_disk_ends_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = ["record", "racing", "--player", "novice", "--minutes", "0.1", "--seed", "1", "--out"]
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (30_000, 30_000))  # bytes of a file: enough for rows, not for the video
    done = subprocess.run(
        [sys.executable, "-m", "ghostpad", *command, str(tmp_path / "c")], capture_output=True, text=True, preexec_fn=full
    )
    assert done.returncode == 1 and "file too large" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not Corpus.open(tmp_path / "c").list_videos() and not list((tmp_path / "c").rglob("*.mp4"))
    for out in ("c", "whole"):
        assert main([*command, str(tmp_path / out)]) == 0
    assert files_of(tmp_path / "c") == files_of(tmp_path / "whole")


def test_d03_a_recording_whose_mask_was_set_by_hand_is_made_again(tmp_path: Path) -> None:
    command = ["record", "racing", "--player", "novice", "--minutes", "0.05", "--seed", "1", "--out", str(tmp_path / "c")]
    assert main(command) == 0
    corpus = Corpus.open(tmp_path / "c")
    (video,) = corpus.list_videos()
    assert main(["corpus", "set-mask", str(tmp_path / "c"), video.id, "--box", "4", "4", "20", "20"]) == 0
    (masked,), rows = corpus.list_videos(), corpus.actions_path("recorded", video.id)
    before = rows.read_bytes()
    rows.unlink()
    assert main(command) == 0
    assert rows.read_bytes() == before and corpus.list_videos() == [masked] and masked.overlay_px == (4, 4, 20, 20)
