"""The study of masks: the same play in every corpus, a copy without boxes, commands in order, and tables that claim what is there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.cli.main import main
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.corpus.record import record_corpus
from ghostpad.games.overlay import Overlay
from ghostpad.games.spec import game_spec, player_names
from ghostpad.idm.settings import IdmRun
from ghostpad.lab.study.common import evaluation_file
from ghostpad.lab.study.masks.page import write_page
from ghostpad.lab.study.masks.plan import ARMS, CLEAN, GAMES, LEARN, MASKED, MINUTES, SEEDS, TEST, TESTS, UNMASKED
from ghostpad.lab.study.masks.run import MaskStudy, check_same_play, copy_without_boxes, readings, recordings, study_masks
from ghostpad.lab.study.masks.tables import collect, measure, table_text
from ghostpad.label.label import label_corpus
from ghostpad.video.decode import decode_array


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> MaskStudy:
    """A few seconds of both games, clean and drawn on, at a quality that changes few pixels."""
    found = MaskStudy(tmp_path_factory.mktemp("study"), (0, 1), 2, 1.0)
    for game in GAMES:
        for seen, overlay in ((CLEAN, None), (MASKED, Overlay())):
            record_corpus(game, "novice", minutes=0.1, seed=3, out=found.corpus(LEARN, seen), overlay=overlay, crf=8)
    copy_without_boxes(found.corpus(LEARN, MASKED), found.corpus(LEARN, UNMASKED))
    return found


def test_a_drawn_controller_changes_nothing_but_its_own_box(study: MaskStudy) -> None:
    check_same_play(study, LEARN)
    clean, drawn = (Corpus.open(study.corpus(LEARN, seen)) for seen in (CLEAN, MASKED))
    for row in drawn.list_videos():
        path = drawn.video_path(row.id)
        one, other = (decode_array(corpus.video_path(row.id))[1].astype(float) for corpus in (clean, drawn))
        ((left, top, right, bottom),) = video_mask(row, path)
        apart = np.abs(one - other).mean((0, 3))
        inside = np.zeros(apart.shape, bool)
        inside[top:bottom, left:right] = True
        assert apart[~inside].mean() < 1 and apart[inside].mean() > 20


def test_other_episodes_are_refused(study: MaskStudy, tmp_path: Path) -> None:
    other = MaskStudy(tmp_path, (0,), 2, 1.0)
    shutil.copytree(study.corpus(LEARN, CLEAN), other.corpus(LEARN, CLEAN))
    record_corpus("racing", "novice", minutes=0.1, seed=4, out=other.corpus(LEARN, MASKED), overlay=Overlay())
    with pytest.raises(FormatError, match="different episodes"):
        check_same_play(other, LEARN)
    shutil.rmtree(other.corpus(LEARN, MASKED))
    copy_without_boxes(study.corpus(LEARN, CLEAN), other.corpus(LEARN, MASKED))
    changed, id = Corpus.open(other.corpus(LEARN, MASKED)), Corpus.open(other.corpus(LEARN, MASKED)).ok_ids()[0]
    table = changed.actions(RECORDED, id)
    assert table is not None
    changed.write_actions(RECORDED, id, table.slice(1))
    with pytest.raises(FormatError, match="played differently"):
        check_same_play(other, LEARN)


def test_a_copy_whose_masks_are_ignored_has_the_same_videos_and_rows_and_no_box(study: MaskStudy, tmp_path: Path) -> None:
    source = Corpus.open(study.corpus(LEARN, MASKED))
    copy = copy_without_boxes(source.root, tmp_path / "copy")
    assert [replace(row, overlay_px=None, overlay_of_px=None) for row in source.list_videos()] == copy.list_videos()
    for row in copy.list_videos():
        path = copy.video_path(row.id)
        assert path.read_bytes() == source.video_path(row.id).read_bytes() and video_mask(row, path) == ()
        one, other = copy.actions(RECORDED, row.id), source.actions(RECORDED, row.id)
        assert one is not None and other is not None and one.equals(other)
    before = {path: path.stat().st_mtime_ns for path in copy.root.rglob("*.parquet")}
    copy_without_boxes(source.root, copy.root)
    assert before == {path: path.stat().st_mtime_ns for path in copy.root.rglob("*.parquet")}, "what is done is left alone"


def test_commands_follow_what_they_need_and_no_test_was_learned_from(tmp_path: Path, read_flags: Any) -> None:
    study = MaskStudy(tmp_path, (0,), 2, 0.1)
    words = [task.words for task in recordings(study)]
    assert len(set(words)) == len(words) == 2 * len(GAMES) * (len(MINUTES[LEARN]) + len(MINUTES[TEST]))
    assert SEEDS[LEARN] != SEEDS[TEST] and all("--withhold" in one for one in words if str(SEEDS[TEST]) in one)
    assert all(game_spec(game) and set(players) <= set(player_names(game)) for game in GAMES for players in MINUTES.values())
    for arm in ARMS:
        read_flags(IdmRun(), arm.settings)
        train, *tests = readings(study, arm, 0)
        assert f"learn-{arm.corpus}" in train.words[2] and [task.needs for task in tests] == [(train.name,)] * len(TESTS)
    assert study.withheld(UNMASKED) == study.withheld(MASKED) != study.withheld(CLEAN)


def test_measures_are_those_of_the_labels(small: Any, idm_run: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.wild, tmp_path / "wild"))
    label_corpus(corpus, idm_run)
    found = measure(corpus.root, idm_run, small.truth)
    assert found["videos"] == 1 and {"doom right_x +", "doom right_x -"} <= set(found["targets"])
    assert all(0 < one["prevalence"] < 1 and 0 <= one["ap"] <= 1 for one in found["targets"].values())
    assert found["macro_ap"] == pytest.approx(np.mean([one["ap"] for one in found["targets"].values()]))
    assert found["sticks"]["doom right_x"] < 1 and found["rmse"]["doom right_x"] > 0


def put(out: Path, macro: dict[tuple[str, str], list[float]]) -> None:
    for (arm, test), values in macro.items():
        for seed, value in enumerate(values):
            path = evaluation_file(out, arm, test, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            targets = {"racing left_x +": {"ap": value, "prevalence": 0.3}}
            path.write_text(json.dumps({"macro_ap": value, "targets": targets, "sticks": {"racing left_x": value - 1}}))


def test_the_tables_and_the_page_hold_what_is_there_and_no_more(study: MaskStudy, tmp_path: Path) -> None:
    put(tmp_path, {(CLEAN, CLEAN): [0.9, 0.94], (MASKED, CLEAN): [0.88, 0.92], (UNMASKED, CLEAN): [0.5, 0.52], (UNMASKED, UNMASKED): [1.0]})
    found = collect(tmp_path, (0, 1))
    assert found["masked_minus_clean"]["mean"] == pytest.approx(-0.02) and found["verdict"] == "met"
    assert found["unmasked_lost_on_clean"]["by_seed"] == {"0": pytest.approx(-0.5)} and found["random_gained_on_masked"] is None
    assert "unmasked on unmasked, seed 1" in found["missing"] and "clean on clean, seed 0" not in found["missing"]
    text = table_text(found)
    assert "0.920 ± 0.028" in text and "met" in text and "not done yet: 17" in text
    corpora = {seen: study.corpus(LEARN, seen) for seen in TESTS}
    whole = found | {"settings": {"steps": 2, "minutes_scale": 0.1}, "seconds": {}}
    page = write_page(whole, corpora, tmp_path / "report.html").read_text()
    assert "0.920" in page and "shortened" in page and "random on clean, seed 0" in page and (tmp_path / "report.png").exists()
    put(tmp_path, {(MASKED, CLEAN): [0.8, 0.84]})
    assert collect(tmp_path, (0, 1))["verdict"] == "missed"
    assert collect(tmp_path / "empty", (0,))["verdict"] is None and "–" in table_text(collect(tmp_path / "empty", (0,)))


def test_what_cannot_work_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError) as error:
        study_masks(out=tmp_path / "a", steps=0, minutes_scale=0, workers=0)
    assert len(error.value.problems) == 3 and not (tmp_path / "a").exists()
    assert main(["lab", "study", "masks", "--out", str(tmp_path / "b"), "--page"]) == 2
    assert "nothing to show yet" in capsys.readouterr().err
