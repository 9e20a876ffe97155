"""Filters and verdicts: every row judged once, labels never touched, and one bad video never stops the others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import Video, labels_table, table_facts
from ghostpad.base.settings import Settings, build_settings
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.rows import PseudoLabelRows
from ghostpad.feed.settings import DataSettings
from ghostpad.filters import apply
from ghostpad.filters.apply import filter_corpus, judge
from ghostpad.filters.confidence import Confidence, ConfidenceSettings
from ghostpad.filters.contract import Filter, cuts_class, make_filters, row_ends_s
from ghostpad.filters.idle import Idle, IdleSettings

FPS = 20
SOURCE = "idm-abc"
VIDEO = Video("a", fps="20")


def labels(confidence: Sequence[float] | NDArray[Any], south: Sequence[float] | NDArray[Any] | None = None, known: bool = True) -> pa.Table:
    """Labels at 20 Hz; `south` is pressed throughout unless given."""
    rows = len(confidence)
    pads = np.zeros((rows, PAD_DIM), np.float32)
    pads[:, slot("south")] = 1 if south is None else south
    return labels_table(
        np.arange(rows) / FPS, pads, np.zeros((rows, 4), np.float32), np.full(PAD_DIM, known), np.asarray(confidence, np.float32)
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Video a: 10 s, of which 2 s are unsure and then 6 s idle. Video b: 5 s, all believed."""
    made = Corpus.create(tmp_path / "corpus")
    for id, seconds in (("a", 10), ("b", 5)):
        made.add_video(Video(id=id, fps="20", duration_s=float(seconds)))
    made.write_actions(SOURCE, "a", labels([0.1] * 40 + [0.9] * 160, [1.0] * 80 + [0.0] * 120))
    made.write_actions(SOURCE, "b", labels([0.9] * 100))
    return made


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


# ---- one filter -------------------------------------------------------------------------------------------------


def test_confidence_is_a_mean_over_half_a_second() -> None:
    values = np.random.default_rng(0).random(50).astype(np.float32)
    scores = Confidence().score(labels(values), VIDEO)
    slow = [values[max(0, row - 5) : row + 6].mean() for row in range(50)]
    assert scores.dtype == np.float32 and np.allclose(scores, slow)


def test_one_doubtful_row_among_sure_ones_stays() -> None:
    doubtful = np.full(50, 0.9)
    doubtful[25] = 0
    assert Confidence().keep(Confidence().score(labels(doubtful), VIDEO)).all()


def test_confidence_at_the_cut_is_kept() -> None:
    flat = labels(np.full(1000, 0.3))
    at = Confidence(ConfidenceSettings(cut=0.3))
    assert at.keep(at.score(flat, VIDEO)).all()
    above = Confidence(ConfidenceSettings(cut=0.31))
    assert not above.keep(above.score(flat, VIDEO)).any()


def test_idling_keeps_its_first_second() -> None:
    south = np.repeat([1.0, 0.0, 1.0, 0.0], [20, 120, 20, 60])  # 1 s held, 6 s idle, 1 s held, 3 s idle
    kept = Idle().keep(Idle().score(labels(np.ones(220), south), VIDEO))
    assert np.flatnonzero(~kept).tolist() == list(range(40, 140))
    strict = Idle(IdleSettings(seconds=2))
    assert np.flatnonzero(~strict.keep(strict.score(labels(np.ones(220), south), VIDEO))).tolist() == [*range(40, 140), *range(180, 220)]


def test_any_stick_or_button_ends_idling_and_the_unknown_is_not_idle() -> None:
    still = labels(np.ones(200), np.zeros(200))
    assert np.flatnonzero(Idle().score(still, VIDEO)).tolist() == list(range(20, 200))
    pads = np.zeros((200, PAD_DIM), np.float32)
    pads[100, slot("right_y")] = -0.11
    moved = labels_table(np.arange(200) / FPS, pads, np.zeros((200, 4), np.float32), np.ones(PAD_DIM, np.bool_), np.ones(200, np.float32))
    scores = Idle().score(moved, VIDEO)
    assert scores[99] == pytest.approx(5) and scores[100] == 0 and scores[199] == pytest.approx(4.95)
    assert not Idle().score(labels(np.ones(200), known=False), VIDEO).any()


def test_rows_end_where_the_next_begins() -> None:
    assert row_ends_s(labels([1, 1, 1]), VIDEO) == pytest.approx([0.05, 0.1, 0.15])
    assert row_ends_s(labels([1]), VIDEO) == pytest.approx([0.05])
    assert row_ends_s(labels([1]), Video("a")) == pytest.approx([0.0])
    assert len(row_ends_s(labels([]), VIDEO)) == 0


# ---- all filters ------------------------------------------------------------------------------------------------


def test_filters_are_found_by_their_files() -> None:
    folder = Path(__file__).parents[2] / "ghostpad" / "filters"
    files = {path.stem for path in folder.glob("*.py") if "\nFILTER = " in path.read_text()}
    assert [each.name for each in make_filters()] == list(cuts_class().model_fields) == sorted(files)


@pytest.mark.parametrize("found", make_filters(), ids=lambda found: found.name)
def test_every_filter_keeps_the_contract(found: Filter) -> None:
    assert isinstance(found, Filter) and isinstance(found.settings, Settings) and found.version >= 1
    rng = np.random.default_rng(1)
    for rows in (0, 1, 2, 333):
        table = labels(rng.random(rows), rng.random(rows))
        scores = found.checked_score(table, VIDEO)
        assert scores.dtype == np.float32 and scores.shape == (rows,)
        kept = found.keep(scores)
        assert kept.dtype == np.bool_ and kept.shape == (rows,)
        assert np.array_equal(scores, found.score(table, VIDEO)), "a score is a function of the labels"


def test_unknown_filters_and_settings_get_the_nearest() -> None:
    with pytest.raises(SettingsError, match="no filter called 'confidense': did you mean 'confidence'?") as caught:
        make_filters(skip=["confidense", "idel"])
    assert "did you mean 'idle'?" in caught.value.problems[1]
    with pytest.raises(SettingsError, match=r"did you mean 'idle\.seconds'\?"):
        build_settings(cuts_class(), {"idle": {"second": 3}}, "recipe")
    with pytest.raises(SettingsError, match="confidence.cut is 1.5"):
        build_settings(cuts_class(), {"confidence": {"cut": 1.5}}, "recipe")


@given(st.integers(0, 10_000), st.integers(0, 300), st.floats(0, 1), st.floats(0, 3))
@settings(max_examples=40)
def test_verdicts_cover_every_row_once(seed: int, rows: int, cut: float, seconds: float) -> None:
    rng = np.random.default_rng(seed)
    table = labels(np.repeat(rng.random(rows), 7)[:rows], np.repeat(rng.random(rows) ** 3, 30)[:rows])
    filters = [Confidence(ConfidenceSettings(cut=cut)), Idle(IdleSettings(seconds=seconds))]
    stretches = judge(table, VIDEO, filters)
    covered = [row for stretch in stretches for row in range(stretch["first_row"], stretch["last_row"] + 1)]
    assert covered == list(range(rows))
    assert sum(stretch["duration_s"] for stretch in stretches) == pytest.approx(rows / FPS)
    assert all(before["reason"] != after["reason"] for before, after in zip(stretches, stretches[1:], strict=False))
    dropped = {each.name: ~each.keep(each.score(table, VIDEO)) for each in filters}
    for stretch in stretches:
        part = slice(stretch["first_row"], stretch["last_row"] + 1)
        first = [
            "confidence" if unsure else "idle" if idle else "kept"
            for unsure, idle in zip(dropped["confidence"][part], dropped["idle"][part], strict=True)
        ]
        assert set(first) == {stretch["reason"]} and stretch["keep"] == (stretch["reason"] == "kept")


# ---- a corpus ---------------------------------------------------------------------------------------------------


def test_a_corpus_is_judged_and_counted(corpus: Corpus) -> None:
    funnel = filter_corpus(corpus, SOURCE, make_filters())
    found = [(row["video"], row["first_row"], row["last_row"], row["reason"]) for row in corpus.verdicts("default").to_pylist()]
    # The mean over half a second crosses 0.25 two rows before confidence jumps from 0.1 to 0.9 in row 40.
    assert found == [("a", 0, 36, "confidence"), ("a", 37, 99, "kept"), ("a", 100, 199, "idle"), ("b", 0, 99, "kept")]
    assert funnel.hours_in * 3600 == pytest.approx(15) and funnel.hours_kept * 3600 == pytest.approx(15 - 5 - 37 / 20)
    assert funnel.dropped == {"confidence": pytest.approx(37 / 20 / 3600), "idle": pytest.approx(5 / 3600), "broken": 0}
    assert json.loads(json.dumps(funnel.as_dict()))["hours_in"] == funnel.hours_in and not funnel.broken
    facts = table_facts(corpus.verdicts("default"))
    assert facts["source"] == SOURCE
    assert json.loads(facts["filters"])[0] == {"name": "confidence", "version": 1, "cut": {"cut": 0.25}}
    text = funnel.table()
    assert "dropped: idle" in text and "33.3 %" in text and "broken" not in text


def test_another_cut_rewrites_verdicts_and_nothing_else(corpus: Corpus) -> None:
    filter_corpus(corpus, SOURCE, make_filters())
    before = bytes_of(corpus.root)
    filter_corpus(corpus, SOURCE, make_filters())
    assert bytes_of(corpus.root) == before
    filter_corpus(corpus, SOURCE, [Confidence(ConfidenceSettings(cut=0.95))])
    after = bytes_of(corpus.root)
    assert [name for name in after if after[name] != before[name]] == ["verdicts/default.parquet"] and set(after) == set(before)
    assert not any(corpus.verdicts("default").column("keep").to_pylist())
    filter_corpus(corpus, SOURCE, make_filters(), "other")
    assert filter_corpus(corpus, SOURCE, make_filters()) == filter_corpus(corpus, SOURCE, make_filters(), "other")


def test_training_learns_from_kept_rows_only(corpus: Corpus) -> None:
    filter_corpus(corpus, SOURCE, make_filters())
    found = PseudoLabelRows(corpus, SOURCE, DataSettings()).read(corpus, "a")
    assert found is not None and found.kept is not None
    assert np.flatnonzero(found.kept).tolist() == list(range(37, 100))


def test_no_filters_keep_everything_and_an_empty_source_is_no_hours(corpus: Corpus) -> None:
    assert filter_corpus(corpus, SOURCE, []).hours_kept * 3600 == pytest.approx(15)
    empty = filter_corpus(corpus, "idm-none", make_filters())
    assert empty.hours_in == 0 and corpus.verdicts("default").num_rows == 0 and "-" in empty.table()


def test_bad_videos_are_counted_with_their_reason_and_stop_nothing(corpus: Corpus) -> None:
    nan = labels([0.9] * 20)
    corpus.add_video(Video(id="c"))
    corpus.write_actions(
        SOURCE, "c", nan.set_column(nan.column_names.index("confidence"), "confidence", pa.array([np.nan] * 20, pa.float32()))
    )
    corpus.add_video(Video(id="d"))
    corpus.write_actions(SOURCE, "d", labels([0.9] * 20).take([*range(19, -1, -1)]))
    corpus.add_video(Video(id="e"))
    corpus.write_actions(SOURCE, "e", labels([0.9]))
    corpus.actions_path(SOURCE, "e").write_bytes(b"torn")
    corpus.add_video(Video(id="f"))
    corpus.write_actions(SOURCE, "f", labels([0.9] * 20))
    corpus.add_video(Video("f", status="broken", reason="breaks off at 3 s"))
    corpus.write_actions(SOURCE, "g", labels([0.9] * 20))
    funnel = filter_corpus(corpus, SOURCE, make_filters())
    reasons = {id: reason for reason, ids in funnel.broken_videos.items() for id in ids}
    assert sorted(reasons) == list("cdefg") and sum(funnel.broken.values()) == 5
    assert "finite score" in reasons["c"] and "do not ascend" in reasons["d"] and reasons["e"].startswith("it is damaged")
    assert reasons["f"] == "breaks off at 3 s" and "no row in the table of videos" in reasons["g"]
    judged = {row["video"]: row for row in corpus.verdicts("default").to_pylist() if row["reason"] == "broken"}
    assert sorted(judged) == list("cfg") and all(
        (row["first_row"], row["last_row"], row["keep"]) == (0, 19, False) for row in judged.values()
    )
    assert funnel.dropped["broken"] * 3600 == pytest.approx(3) and "broken: breaks off at 3 s: f" in funnel.table()
    assert funnel.hours_in == pytest.approx(funnel.hours_kept + sum(funnel.dropped.values()))


def test_d15_labels_with_other_columns_are_counted_and_stop_nothing(corpus: Corpus) -> None:
    good, hours = labels([0.9] * 20), filter_corpus(corpus, SOURCE, make_filters()).hours_in
    at = good.column_names.index("pts_s")
    for id, table in {
        "missing": good.drop_columns(["south"]),
        "null": good.set_column(at, pa.field("pts_s", pa.float64()), pa.array([None] * 20, pa.float64())),
        "text": good.set_column(at, "pts_s", pa.array(["x"] * 20)),
    }.items():
        corpus.add_video(Video(id))
        corpus.write_actions(SOURCE, id, good)
        metadata = pq.read_schema(corpus.actions_path(SOURCE, id)).metadata
        pq.write_table(table.replace_schema_metadata(metadata), corpus.actions_path(SOURCE, id))
    funnel = filter_corpus(corpus, SOURCE, make_filters())
    assert funnel.hours_in == hours and sum(funnel.broken.values()) == 3 and all("labels table" in reason for reason in funnel.broken)
    assert set(corpus.verdicts("default").column("video").to_pylist()) == {"a", "b"}


def test_many_broken_videos_are_counted_and_a_few_are_named(corpus: Corpus) -> None:
    for number in range(30):
        corpus.add_video(Video(f"gone{number:02d}", status="missing", reason=f"not there since day {number % 15}"))
    corpus.put_videos(
        Video(f"torn{number}", status="broken", reason=f"{corpus.root / f'videos/torn{number}.mp4'} is torn") for number in range(9)
    )
    funnel = filter_corpus(corpus, SOURCE, make_filters())
    assert funnel.broken["it is torn"] == 9 and funnel.broken_videos["it is torn"] == ["torn0", "torn1", "torn2", "torn3"]
    told = funnel.table().splitlines()
    assert "broken: it is torn: torn0, torn1, torn2, torn3 and 5 more" in told and "  and 5 more reasons: see --json" in told


def test_verdicts_of_many_videos_are_the_same_rows_in_blocks(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    filter_corpus(corpus, SOURCE, make_filters(), "whole")
    monkeypatch.setattr(apply, "_BLOCK", 2)
    filter_corpus(corpus, SOURCE, make_filters(), "parts")
    assert corpus.verdicts("parts").equals(corpus.verdicts("whole"), check_metadata=True)
    assert pq.ParquetFile(corpus.root / "verdicts" / "parts.parquet").num_row_groups > 1


def test_a_bug_in_a_filter_is_not_hidden(corpus: Corpus) -> None:
    @dataclass(frozen=True)
    class Buggy(Filter):
        name: ClassVar[str] = "buggy"
        version: ClassVar[int] = 1
        settings: IdleSettings = IdleSettings()

        def score(self, labels: pa.Table, video: Any) -> NDArray[np.float32]:
            raise ZeroDivisionError

        def keep(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
            return scores > 0

    with pytest.raises(ZeroDivisionError):
        filter_corpus(corpus, SOURCE, [Buggy()])
    assert not list((corpus.root / "verdicts").iterdir())


def test_the_truth_is_not_filtered(corpus: Corpus) -> None:
    with pytest.raises(SettingsError, match="are the truth"):
        filter_corpus(corpus, "recorded", make_filters())


# ---- the command ------------------------------------------------------------------------------------------------


def test_the_command_prints_the_funnel(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", str(corpus.root)]) == 0
    assert "dropped: confidence" in (printed := capsys.readouterr().out) and f"labelled ({SOURCE})" in printed
    assert (
        main(["filter", str(corpus.root), "--labels", SOURCE, "--skip", "idle", "--confidence.cut", "0.95", "--name", "strict", "--json"])
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["hours_kept"] == 0 and set(told["dropped"]) == {"confidence", "broken"}
    assert sorted(path.stem for path in (corpus.root / "verdicts").iterdir()) == ["default", "strict"]
    assert pq.read_table(corpus.root / "verdicts" / "strict.parquet").num_rows == 2


@pytest.mark.parametrize(
    "flags, message, status",
    [
        (["--skip", "idel"], "did you mean 'idle'?", 2),
        (["--labels", "idm-other"], "no labels 'idm-other'", 1),
        (["--name", "../x"], "cannot name a file", 2),
    ],
)
def test_what_the_command_cannot_do_it_says(
    flags: list[str], message: str, status: int, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["filter", str(corpus.root), *flags]) == status
    assert message in capsys.readouterr().err and not (corpus.root / "verdicts").exists()


def test_a_corpus_without_labels_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Corpus.create(tmp_path)
    assert main(["filter", str(tmp_path)]) == 1
    assert "ghostpad label" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pool", "ray"])
def test_every_engine_writes_the_same_verdicts(corpus: Corpus, request: pytest.FixtureRequest, name: str) -> None:
    address = request.getfixturevalue("ray_cluster").address if name == "ray" else None
    for number in range(20):
        corpus.add_video(Video(id=f"c{number}", fps="20", duration_s=5.0))
        corpus.write_actions(SOURCE, f"c{number}", labels([0.1] * number + [0.9] * (100 - number)))
    corpus.actions_path(SOURCE, "c3").write_bytes(b"no table")
    filters = make_filters(cuts_class()())
    here = filter_corpus(corpus, SOURCE, filters, "here")
    there = filter_corpus(corpus, SOURCE, filters, "there", EngineSettings(engine=name, workers=2, ray_address=address))
    assert here == there and sum(here.broken.values()) == 1
    verdicts = corpus.root / "verdicts"
    assert (verdicts / "here.parquet").read_bytes() == (verdicts / "there.parquet").read_bytes()
