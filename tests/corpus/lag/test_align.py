"""Lag: a known shift between rows and pictures is found again, and what cannot be known is called unknown."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import slot
from ghostpad.base.records import Video, actions_table, pads_of
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.lag import teach as align_readers
from ghostpad.corpus.lag.align import align_corpus, lags, on_pictures
from ghostpad.corpus.lag.estimate import MAX_LAG_FRAMES, LagEstimate, estimate_alone
from ghostpad.corpus.lag.features import MotionFeatures, distinct, extract_from, features_of
from ghostpad.corpus.lag.motion import HEIGHT_PX, SIGNALS, WIDTH_PX, motion
from ghostpad.corpus.lag.teach import estimate_by_reader, estimate_together, reference_readers
from ghostpad.corpus.record import lagged, record_corpus
from ghostpad.games.overlay import Overlay
from ghostpad.games.spec import game_spec
from ghostpad.video.decode import decode_array

FRAME_MS = 2000 / 35
"""Of Doom."""


@pytest.fixture(scope="module")
def doom(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Forty seconds of a Doom expert, one video."""
    root = tmp_path_factory.mktemp("align") / "corpus"
    record_corpus("doom", "expert", minutes=0.7, seed=5, out=root)
    return Corpus.open(root)


@pytest.fixture(scope="module")
def features(doom: Corpus) -> MotionFeatures:
    return features_of(doom, doom.list_videos()[0], 0.0)


def rows_of(corpus: Corpus) -> pa.Table:
    table = corpus.actions("recorded", corpus.ok_ids()[0])
    assert table is not None
    return table


def lag_frames(features: MotionFeatures, rows: pa.Table) -> float | None:
    (row,) = lags({"v": estimate_alone(features, rows)}, {"v": ("doom", "expert")})
    return None if row["lag_ms"] is None else float(row["lag_ms"] / FRAME_MS)


@pytest.mark.parametrize("lag", [-12, -5, 0, 0.5, 1, 12])
def test_a_lag_is_found_again(doom: Corpus, features: MotionFeatures, lag: float) -> None:
    assert lag_frames(features, on_pictures(rows_of(doom), -lag * FRAME_MS)) == pytest.approx(lag, abs=0.7)


def test_what_cannot_be_known_is_called_unknown(doom: Corpus, features: MotionFeatures) -> None:
    rows = rows_of(doom)
    pads, known = pads_of(rows)
    pts_s = rows.column("pts_s").to_numpy()
    other = actions_table(pts_s, np.roll(pads, 200, axis=0)[::-1], known)
    still = MotionFeatures(features.pts_s, np.zeros_like(features.signals), 0.0, features.pictures)
    cases = {
        "do not change": (features, actions_table(pts_s, np.ones_like(pads), known)),
        "does not clearly follow": (features, other),
        "does not move": (still, rows),
        "too little time": (features, rows.slice(0, 100)),
    }
    for reason, (pictures, table) in cases.items():
        assert reason in estimate_alone(pictures, table).reason
    far = on_pictures(rows, (MAX_LAG_FRAMES + 25) * FRAME_MS)
    assert estimate_alone(features, far).reason and lag_frames(features, far) is None


def test_rows_may_come_at_another_rate_have_holes_and_unknown_slots(doom: Corpus, features: MotionFeatures) -> None:
    rows = rows_of(doom)
    pads, known = pads_of(rows)
    pts_s = rows.column("pts_s").to_numpy()
    fine_s = np.arange(pts_s[0], pts_s[-1], 1 / 60)
    at = np.searchsorted(pts_s, fine_s, side="right") - 1
    known = known.copy()
    known[:, slot("left_x")] = False
    fine = actions_table(fine_s, pads[at], known[at]).filter(pa.array((fine_s < 5) | (fine_s > 7)))
    assert lag_frames(features, on_pictures(fine, -4 * FRAME_MS)) == pytest.approx(4, abs=0.7)


@pytest.fixture(scope="module")
def shown(doom: Corpus) -> tuple[np.ndarray, np.ndarray]:
    pts_s, frames = decode_array(doom.video_path(doom.ok_ids()[0]), width_px=WIDTH_PX, height_px=HEIGHT_PX, gray=True)
    return pts_s, frames[..., 0]


def test_pictures_that_come_twice_are_found_and_left_out(doom: Corpus, shown: tuple[np.ndarray, np.ndarray]) -> None:
    pts_s, frames = shown
    twice_s = np.stack([pts_s, pts_s + FRAME_MS / 2000], 1).reshape(-1)
    features = extract_from(twice_s, np.repeat(frames, 2, axis=0))
    assert features.copies == pytest.approx(0.5, abs=0.05)
    found = estimate_alone(features, on_pictures(rows_of(doom), -6 * FRAME_MS))
    assert found.step_s == pytest.approx(FRAME_MS / 1000) and found.follow_s / found.step_s == pytest.approx(6, abs=0.7)


def test_a_game_that_stands_still_is_no_repeat() -> None:
    changes = np.full(200, 3.0, np.float32)
    changes[50:90] = 0
    assert distinct(changes).all() and distinct(np.zeros(5, np.float32)).all()


def test_time_is_the_stamp_where_the_rate_varies(doom: Corpus, shown: tuple[np.ndarray, np.ndarray]) -> None:
    pts_s, frames = shown
    kept = np.random.default_rng(1).random(len(pts_s)) > 0.25
    found = estimate_alone(extract_from(pts_s[kept], frames[kept]), on_pictures(rows_of(doom), -6 * FRAME_MS))
    assert not found.reason and found.follow_s * 1000 / FRAME_MS == pytest.approx(6, abs=0.7)


def test_the_motion_of_a_picture_that_is_moved_is_the_way_it_moved() -> None:
    big = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX + 40, WIDTH_PX + 40)).astype(np.uint8)
    frames = np.stack([big[20 - 2 * i : 20 - 2 * i + HEIGHT_PX, 20 + 3 * i : 20 + 3 * i + WIDTH_PX] for i in range(4)])
    found = motion(frames)
    shifts = found[:, :-2].reshape(3, -1, 2)
    assert found.shape == (3, SIGNALS)
    np.testing.assert_allclose(np.median(shifts, axis=1), np.tile([-3.0, 2.0], (3, 1)), atol=0.1)
    assert motion(frames[:1]).shape == (0, SIGNALS)


def test_the_inertia_of_a_game_is_taken_off_by_group() -> None:
    measured = {"a": LagEstimate(0.04, 0, 0.12, 0.0, 0.9), "b": LagEstimate(0.04, 0, 0.22, 0.1, 0.9), "c": LagEstimate(0.04, 0, reason="?"),
                "d": LagEstimate(0.04, 0, 2.0, 1.9, 0.9)}  # fmt: skip
    found = lags(measured, dict.fromkeys("abcd", ("racing", None)))
    assert [row["lag_ms"] for row in found[:2]] == pytest.approx([0, 100]) and found[1]["lag_frames"] == pytest.approx(2.5)
    assert found[2]["lag_ms"] is None and found[2]["reason"] == "?"
    assert found[3]["lag_ms"] is None and "beyond" in found[3]["reason"]


def test_align_writes_facts_a_plot_and_measures_once(doom: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = Corpus.open(shutil.copytree(doom.root, tmp_path / "corpus"))
    (id,) = corpus.ok_ids()
    corpus.write_actions("recorded", id, on_pictures(rows_of(corpus), -3 * FRAME_MS))
    corpus.add_video(Video(id="gone"))
    corpus.write_actions("recorded", "gone", rows_of(doom))
    shutil.copyfile(corpus.video_path(id), corpus.root / "videos" / "later.mp4")
    corpus.add_video(Video(id="later", duration_s=42.0))
    corpus.write_actions("recorded", "later", on_pictures(rows_of(doom), 90_000))
    assert main(["corpus", "align", str(corpus.root)]) == 1, "one video is gone"
    later = corpus.video("later")
    assert later.status == "ok" and later.lag_ms is None, "rows of a part that is not here say nothing against the video"
    gone, video = corpus.video("gone"), corpus.video(id)
    assert video.lag_ms == pytest.approx(3 * FRAME_MS, abs=0.7 * FRAME_MS) and video.lag_confidence > 0.65
    assert gone == Video("gone"), "reading it changed nothing"
    printed = capsys.readouterr().out
    assert "doom by expert" in printed and "1 videos cannot be read" in printed and "gone.mp4 does not exist" in printed
    assert (corpus.root / "lag.png").read_bytes()[:4] == b"\x89PNG"
    told = read_json(corpus.root / "lag.json")["videos"]
    assert [row["id"] for row in told] == [id, "later"] and told[0]["lag_ms"] == video.lag_ms
    kept = corpus.root / "cache" / "lag" / f"{id}.npz"
    stamp = kept.stat().st_mtime_ns
    assert align_corpus(corpus).videos == told and kept.stat().st_mtime_ns == stamp
    for damaged in (b"{}", kept.read_bytes()[:5000]):
        kept.write_bytes(damaged)
        assert align_corpus(corpus).videos == told


def test_nothing_to_align_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "align", str(Corpus.create(tmp_path / "c").root)]) == 1
    assert "fetch footage, or record some" in capsys.readouterr().err


@pytest.mark.parametrize("measured_frames", [1.6, 2.0, 2.4])
def test_training_looks_rows_up_by_their_lag(doom: Corpus, tmp_path: Path, measured_frames: float) -> None:
    from ghostpad.feed.load import load_footage
    from ghostpad.feed.rows import RecordedRows
    from ghostpad.feed.window import WindowSpec

    spec = WindowSpec((0, 1), (0,), 16, 16, True)
    corpus = Corpus.open(shutil.copytree(doom.root, tmp_path / "corpus"))
    (id,) = corpus.ok_ids()
    (straight,) = load_footage(corpus, [id], RecordedRows(), spec)
    late = replace(corpus.list_videos()[0], lag_ms=measured_frames * FRAME_MS)
    corpus.add_video(late)
    (moved,) = load_footage(corpus, [id], RecordedRows(), spec)
    np.testing.assert_array_equal(moved.pads[2:], straight.pads[:-2])
    np.testing.assert_array_equal(moved.weight[2:], straight.weight[:-2])
    assert not moved.weight[:2].any()


FEW = {"doom": 1.2, "racing": 0.75}
"""Minutes of a novice that teach a game well enough."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    """By game a reference, a good minute of a novice; as "<game> played" two episodes of 20 s of an expert. Without lag, looked at."""
    found = {}
    for game, minutes in FEW.items():
        for name, player, length, seeds in ((game, "novice", minutes, (78,)), (f"{game} played", "expert", 1 / 3, (79, 81))):
            root = tmp_path_factory.mktemp("recordings") / "corpus"
            for seed in seeds:
                record_corpus(game, player, minutes=length, seed=seed, out=root)
            found[name] = Corpus.open(root)
            for row in found[name].list_videos():
                features_of(found[name], row, 0.0)
    return found


@pytest.fixture(params=list(FEW))
def taught(request: pytest.FixtureRequest, recordings: dict[str, Corpus]) -> tuple[str, Corpus, Corpus]:
    """A game, its reference, and what was played."""
    return request.param, recordings[request.param], recordings[f"{request.param} played"]


def copied(corpus: Corpus, root: Path, lag_frames: int = 0, moved_ms: float = 0.0) -> Corpus:
    """A corpus as if it had been recorded with `lag_frames`; or with the stamps of its rows moved."""
    copy = Corpus.open(shutil.copytree(corpus.root, root))
    for id in copy.ok_ids():
        rows = copy.actions("recorded", id)
        assert rows is not None
        copy.write_actions("recorded", id, on_pictures(lagged(rows, lag_frames), moved_ms))
    for flags in (copy.root / "recording").iterdir():
        write_json(flags, read_json(flags) | {"--lag-frames": lag_frames})
    return copy


def test_a_reference_finds_lags_to_a_frame_whoever_plays(taught: tuple[str, Corpus, Corpus], tmp_path: Path) -> None:
    (_, reference, played), lag = taught, -9
    told = align_corpus(copied(played, tmp_path / "c", lag), [reference]).videos
    assert [row["by"] for row in told] == ["reference"] * 2 and all(row["confidence"] > 0.6 for row in told)
    assert [row["lag_frames"] for row in told] == pytest.approx([lag] * 2, abs=1)


def test_a_reference_calls_rows_of_another_video_unknown(taught: tuple[str, Corpus, Corpus], tmp_path: Path) -> None:
    _, reference, played = taught
    corpus = copied(played, tmp_path / "c")
    first, second = corpus.ok_ids()
    for id, other in ((first, second), (second, first)):
        table = played.actions("recorded", other)
        assert table is not None
        corpus.write_actions("recorded", id, table)
    told = align_corpus(corpus, [reference]).videos
    assert [row["lag_ms"] for row in told] == [None, None]
    assert all("does not clearly show" in row["reason"] for row in told)


def test_a_reference_whose_rows_come_late_is_believed(taught: tuple[str, Corpus, Corpus], tmp_path: Path) -> None:
    """lag_ms of a reference's videos says where no lag is; one without, that ghostpad did not record, says nothing."""
    game, reference, played = taught
    frame_ms = float(1000 / game_spec(game).fps)
    late, corpus = copied(reference, tmp_path / "late", moved_ms=-3 * frame_ms), copied(played, tmp_path / "c", 2)
    for row in late.list_videos():
        late.add_video(replace(row, lag_ms=3 * frame_ms, source="elsewhere"))
    assert align_corpus(corpus, [late]).videos[0]["lag_frames"] == pytest.approx(2, abs=1)
    for row in late.list_videos():
        late.add_video(replace(row, lag_ms=None))
    with pytest.raises(MissingError, match="too little footage of"):
        align_corpus(corpus, [late])


def test_a_reference_that_was_recorded_with_a_lag_has_that_lag(recordings: dict[str, Corpus], tmp_path: Path) -> None:
    """Also where its lag was measured, since what its recording says is exact; and it is none where nothing says how it was recorded."""
    reference, corpus = copied(recordings["doom"], tmp_path / "late", 6), copied(recordings["doom played"], tmp_path / "c", 2)
    for row in reference.list_videos():
        reference.add_video(replace(row, lag_ms=0.0))
    told = align_corpus(corpus, [reference]).videos
    assert [row["lag_frames"] for row in told] == pytest.approx([2] * 2, abs=1)
    for row in reference.list_videos():
        reference.add_video(replace(row, lag_ms=None))
    shutil.rmtree(reference.root / "recording")
    with pytest.raises(MissingError, match="too little footage of doom"):
        align_corpus(corpus, [reference])


def test_rows_that_cannot_be_read_leave_the_other_videos_their_lags(recordings: dict[str, Corpus], tmp_path: Path) -> None:
    reference, corpus = copied(recordings["doom"], tmp_path / "r"), copied(recordings["doom played"], tmp_path / "c", 2)
    for damaged in (reference, corpus):
        _damage_rows(damaged, damaged.ok_ids()[-1])
    told = align_corpus(corpus, [reference]).videos
    assert told[0]["lag_frames"] == pytest.approx(2, abs=1) and told[1]["reason"] == "its recorded rows cannot be read"
    assert all(video.status == "ok" for video in corpus.list_videos()), "its footage is not broken"
    _damage_rows(reference, reference.ok_ids()[0])
    with pytest.raises(MissingError, match="too little footage of doom"):
        align_corpus(corpus, [reference])


def _damage_rows(corpus: Corpus, id: str) -> None:
    path = corpus.actions_path("recorded", id)
    path.write_bytes(path.read_bytes()[:300])


def test_a_reference_may_have_another_rate(taught: tuple[str, Corpus, Corpus]) -> None:
    """Footage that shows only every other picture is told by a reference that shows them all, or called unknown (Doom at 8.75 Hz)."""
    game, reference, played = taught
    id = played.ok_ids()[0]
    pts_s, frames = decode_array(played.video_path(id), width_px=WIDTH_PX, height_px=HEIGHT_PX, gray=True)
    reader = reference_readers([reference], {game})[game]
    table = played.actions("recorded", id)
    assert table is not None
    step_s = float(1 / game_spec(game).fps)
    found = estimate_by_reader(reader, extract_from(pts_s[::2], frames[::2, ..., 0]), on_pictures(table, -4000 * step_s), by="reference")
    assert found.step_s == pytest.approx(2 * step_s)
    assert found.reason if game == "doom" else found.follow_s / step_s == pytest.approx(4, abs=1.5)


def test_a_short_video_is_told_if_its_evidence_suffices_and_else_unknown(
    recordings: dict[str, Corpus], doom: Corpus, features: MotionFeatures
) -> None:
    reader = reference_readers([recordings["doom"]], {"doom"})["doom"]
    assert features.pictures is not None
    rows = on_pictures(rows_of(doom), -4 * FRAME_MS)
    short = MotionFeatures(features.pts_s[:160], features.signals[:159], 0.0, features.pictures[:160])
    found = estimate_by_reader(reader, short, rows, by="reference")
    assert not found.reason and found.follow_s * 1000 / FRAME_MS == pytest.approx(4, abs=1)
    few = MotionFeatures(features.pts_s[:20], features.signals[:19], 0.0, features.pictures[:20])
    assert "too little time" in estimate_by_reader(reader, few, rows, by="x").reason
    assert "does not clearly show" in estimate_by_reader(reader, short, rows.slice(300), by="reference").reason
    still = MotionFeatures(features.pts_s, np.zeros_like(features.signals), 0.0, np.zeros_like(features.pictures))
    assert "does not clearly show" in estimate_by_reader(reader, still, rows, by="reference").reason


def test_videos_of_a_game_teach_each_other(
    recordings: dict[str, Corpus], doom: Corpus, features: MotionFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other one by id is a half, here a minute or more each: a novice and an expert, and two episodes of an expert."""
    corpus = Corpus.create(tmp_path / "c")
    played = recordings["doom played"]
    for id, source, at in (("a", recordings["doom"], 0), ("b", doom, 0), ("c", played, 0), ("d", played, 1)):
        row = source.list_videos()[at]
        rows = source.actions("recorded", row.id)
        assert rows is not None
        for path in (row.path, f"cache/lag/{row.id}.npz"):
            (corpus.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.root / path, (corpus.root / path).with_stem(id))
        corpus.write_actions("recorded", id, lagged(rows, 5))
        corpus.add_video(replace(row, id=id, path=f"videos/{id}.mp4"))
    told = align_corpus(corpus).videos
    assert [row["by"] for row in told] == ["together"] * 4
    assert [row["lag_frames"] for row in told] == pytest.approx([5] * 4, abs=0.7)

    def footage(id: str) -> tuple[MotionFeatures, pa.Table]:
        rows = corpus.actions("recorded", id)
        assert rows is not None
        return features_of(corpus, row_of[id], 0.0), rows

    row_of = {video.id: video for video in corpus.list_videos()}
    earlier = {id: replace(one, onset_s=one.onset_s - 0.2) for id, one in ((id, estimate_alone(*footage(id))) for id in row_of)}
    monkeypatch.setattr(align_readers, "ROUNDS", 1)
    shifts_s = [one.follow_s for one in estimate_together(earlier, footage).values()]
    expected_s = [row["follow_s"] - 0.2 for row in told]
    assert shifts_s == pytest.approx(expected_s, abs=0.03), "a lag is counted from where the game begins to answer"


def test_a_reference_must_be_another_corpus_and_show_the_game(
    doom: Corpus, recordings: dict[str, Corpus], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match="its own reference"):
        align_corpus(doom, [doom])
    assert main(["corpus", "align", str(doom.root), "--reference", str(recordings["racing"].root)]) == 1
    assert "too little footage of doom" in capsys.readouterr().err
    assert main(["corpus", "align", str(doom.root), "--reference", str(tmp_path / "none")]) == 1


def test_a_controller_in_the_picture_is_not_seen(tmp_path: Path) -> None:
    record_corpus("doom", "expert", minutes=0.1, seed=5, out=tmp_path / "c", overlay=Overlay("xbox"))
    corpus = Corpus.open(tmp_path / "c")
    (row,) = corpus.list_videos()
    features = features_of(corpus, row, 0.0)
    assert features.pictures is not None
    (x, y, wide, high), (of_x, of_y) = row.overlay_px, row.overlay_of_px
    inside = features.pictures[
        :, int(y / of_y * 48) + 2 : int((y + high) / of_y * 48) - 1, int(x / of_x * 64) + 2 : int((x + wide) / of_x * 64) - 1
    ]
    assert inside.size and inside.max() == inside.min(), "painted over in one tone"


def test_the_printed_distribution_is_in_frames() -> None:
    from ghostpad.cli.corpus_align import align_text

    measured = {f"v{at}": LagEstimate(0.04, 0, lag * 0.04, lag * 0.04, 0.9, by="reference") for at, lag in enumerate((-1, -1, 2))}
    text = align_text(lags(measured | {"u": LagEstimate(0.04, 0, reason="no idea")}, dict.fromkeys([*measured, "u"], ("racing", None))))
    assert [line.split() for line in text.splitlines()[3:7]] == [["-1", "2", "#" * 40], ["+0", "0"], ["+1", "0"], ["+2", "1", "#" * 20]]
    assert "measured by the reference: 3 videos" in text and "unknown: no idea: 1 videos" in text


def test_the_check_runs_and_prints_a_line_for_each_kind(recordings: dict[str, Corpus], tmp_path: Path) -> None:
    from ghostpad.lab.bench.align import recovery_text
    from ghostpad.lab.bench.align_recovery import recover, reference_of

    started = copied(recordings["doom"], tmp_path / "reference")  # recording goes on with what is there
    reader = reference_of(["doom"], ["novice"], FEW["doom"], 78, started.root)["doom"]
    found = recover("doom", ["expert"], 28, (-6, 6), 1 / 3, 1, tmp_path / "c", reader, lambda done: None)
    assert [(one.way, one.tried, one.reported, one.right, one.wrong_rows) for one in found] == [
        ("reference", 2, 2, 2, 0),
        ("alone", 2, 2, 2, 0),
    ]
    assert found[0].worst_frames <= 1
    text = recovery_text(found)
    line = next(line for line in text.splitlines() if line.startswith("doom"))
    assert line.split()[:9] == ["doom", "expert", "28", "2", "100.0", "%", "100.0", "%", "100.0"]
    assert text.startswith("with a reference:") and "\nwithout:" in text


def test_a_check_that_cannot_be_is_refused_before_anything_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "align", "--step", "0", "--qualities", "18", "99"]) == 2
    told = capsys.readouterr().err
    assert "step is 0" in told and "a quality is 99" in told


def test_a_pool_measures_the_same_lags(recordings: dict[str, Corpus], tmp_path: Path) -> None:
    played = recordings["doom played"]
    here, there = (Corpus.open(shutil.copytree(played.root, tmp_path / name)) for name in ("here", "there"))
    for corpus in (here, there):
        (corpus.root / "videos" / f"{corpus.ok_ids()[1]}.mp4").unlink()
        shutil.rmtree(corpus.root / "cache", ignore_errors=True)
    alone, pooled = align_corpus(here), align_corpus(there, engine=EngineSettings(engine="pool", workers=2))
    assert alone.videos == pooled.videos and len(alone.videos) == 1 and list(alone.unreadable) == list(pooled.unreadable)
    assert (here.root / "lag.json").read_bytes() == (there.root / "lag.json").read_bytes()
