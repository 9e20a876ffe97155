"""The evaluation of an IDM over a corpus and its page: every part there, each breakdown, several frame rates, and hostile names."""

import json
import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import PAD_DIM, pack, slot
from ghostpad.base.records import Video, actions_table, labels_table, write_table
from ghostpad.cli.main import main
from ghostpad.cli.quality import quality_table
from ghostpad.corpus.folder import Corpus
from ghostpad.measure.evaluate import evaluate_labels
from ghostpad.measure.match import match, pool
from ghostpad.measure.risk import choose
from ghostpad.measure.scores import score, score_rows
from ghostpad.video.record import VideoRecorder
from ghostpad.view.idm_page import write_idm_page

SOURCE = "idm-0123456789ab"


def score_pairs(pairs: list[tuple[Any, Any]], rates: list[float]) -> dict[str, Any]:
    return score_rows(pool([match(*pair, fps) for pair, fps in zip(pairs, rates, strict=True)]))


class Page(HTMLParser):
    """Collects tags, text and every attribute that a browser would fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attributes if name in {"src", "href", "xlink:href", "poster", "srcset", "data"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def add(corpus: Corpus, truth: Path, id: str, seed: int, fps: Fraction = Fraction(20), frames: int = 61, **row: Any) -> None:
    """A video of noise, its true rows, and labels that are late and unsure in a way that the seed decides."""
    rng = np.random.default_rng(seed)
    with VideoRecorder(corpus.root / "videos" / f"{id}.mp4", fps) as video:
        for _ in range(frames):
            video.add(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    corpus.add_video(Video(id, fps=str(fps), frames=frames, duration_s=float(frames / fps), **row))
    _, known = pack({"left_y": 0.0, "south": False, "east": False})
    pads = np.zeros((frames - 1, PAD_DIM), np.float32)
    pads[:, slot("left_y")] = np.repeat(rng.uniform(-1, 1, frames), 6)[: frames - 1]
    pads[:, slot("south")] = np.repeat(rng.random(frames) < 0.4, 5)[: frames - 1]
    pts_s = np.arange(frames - 1) / float(fps)
    write_table(truth / f"{id}.parquet", actions_table(pts_s, pads, known), "actions")
    believed = np.where(known, np.roll(pads, 1, axis=0) * 0.8 + 0.1, 0).astype(np.float32)
    spreads, confidence = np.full((len(pads), 4), 0.2, np.float32), rng.uniform(0.2, 0.9, len(pads)).astype(np.float32)
    corpus.write_actions(SOURCE, id, labels_table(pts_s, believed, spreads, known, confidence))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of four videos of two games, levels and frame rates, their truth, and a run's files. Do not change it."""
    out = tmp_path_factory.mktemp("idm_page")
    corpus = Corpus.create(out / "corpus")
    add(corpus, out / "truth", "a0", 0, game="doom", level="one", player="expert")
    add(corpus, out / "truth", "a1", 1, game="doom", level="two", player="novice")
    add(corpus, out / "truth", "b0", 2, fps=Fraction(60), frames=121, game="racing", level="three", player="expert")
    add(corpus, out / "truth", "c0", 3)  # of no known game
    thresholds = choose(pool([match(corpus.actions(SOURCE, "a0"), read(out, "a0"), 20.0)]), eps=0.6)
    write_json(out / "run" / "risk.json", thresholds)
    write_json(out / "run" / "calibration.json", {"temperatures": {"south": 2.0}, "spread_scales": {"left_y": 0.5}, "rows": 500})
    return out


def read(out: Path, id: str) -> Any:
    from ghostpad.corpus.folder import truth_table

    return truth_table(out / "truth", id)


@pytest.fixture(scope="module")
def report(made: Path) -> dict[str, Any]:
    corpus = Corpus.open(made / "corpus")
    return evaluate_labels(corpus, SOURCE, made / "truth", [], run=made / "run", beside={"the same": SOURCE})


def test_the_report_is_json_and_pools_videos_of_several_rates(made: Path, report: dict[str, Any]) -> None:
    assert json.dumps(report, allow_nan=False)
    corpus = Corpus.open(made / "corpus")
    pairs = [(corpus.actions(SOURCE, id), read(made, id)) for id in ("a0", "a1", "b0", "c0")]
    assert report["idm"] == score_pairs(pairs, [20.0, 20.0, 60.0, 20.0]) and report["videos"] == 4
    assert report["minutes"] == pytest.approx((3 * 60 / 20 + 120 / 60) / 60)
    assert report["by_video"][2]["sticks"] == score(*pairs[2], 60.0)["sticks"]
    assert report["idm"]["lag"]["sticks"]["median_rows"] == pytest.approx(1, abs=0.2)
    assert report["beside"]["the same"]["buttons"] == report["idm"]["buttons"]


def test_breakdowns_are_the_scores_of_their_videos(made: Path, report: dict[str, Any]) -> None:
    corpus = Corpus.open(made / "corpus")
    assert {group: [one["value"] for one in lines] for group, lines in report["by"].items()} == {
        "game": ["doom", "racing"], "level": ["one", "three", "two"], "player": ["expert", "novice"],
    }  # fmt: skip
    pairs = [(corpus.actions(SOURCE, id), read(made, id)) for id in ("a0", "b0")]
    assert report["by"]["player"][0]["buttons"] == score_pairs(pairs, [20.0, 60.0])["buttons"]


def test_risk_and_calibration_come_from_the_run(made: Path, report: dict[str, Any]) -> None:
    risk = report["risk"]
    assert risk["eps"] == 0.6 and set(risk["buttons"]) | set(risk["sticks"]) | set(risk["no_threshold"]) == {"south", "east", "left_y"}
    before = report["calibration"]["before"]["sticks"]["left_y"][0]["spread"]
    assert before == pytest.approx(2 * report["calibration"]["sticks"]["left_y"][0]["spread"], rel=1e-5)
    assert report["calibration"]["ece_before"]["south"] != report["idm"]["buttons"]["south"]["ece"]
    bare = evaluate_labels(Corpus.open(made / "corpus"), SOURCE, made / "truth")
    assert bare["risk"] is None and bare["calibration"]["before"] is None and "prior" not in bare["baselines"] and bare["beside"] == {}


def test_thresholds_that_are_none_are_named(made: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "risk.json", {"eps": 0.02})
    with pytest.raises(FormatError, match="risk.json holds no thresholds"):
        evaluate_labels(Corpus.open(made / "corpus"), SOURCE, made / "truth", run=tmp_path)


def test_the_prior_is_that_of_the_game(made: Path, tmp_path: Path) -> None:
    learned = Corpus.create(tmp_path / "learned")
    _, known = pack({"left_y": 0.0, "south": False})
    for id, game, value in (("x", "doom", 0.5), ("y", "racing", -0.5)):
        learned.add_video(Video(id=id, game=game))
        pads = np.full((4, PAD_DIM), value, np.float32)
        learned.write_actions("recorded", id, actions_table(np.arange(4) / 20, pads, known))
    found = evaluate_labels(Corpus.open(made / "corpus"), SOURCE, made / "truth", [learned.root])["baselines"]["prior"]
    truths = {id: read(made, id).column("left_y").to_numpy() for id in ("a0", "a1", "b0", "c0")}
    priors = {"a0": 0.5, "a1": 0.5, "b0": -0.5, "c0": 0.0}
    errors = np.concatenate([np.abs(truths[id] - priors[id]) for id in truths])
    assert found["sticks"]["left_y"]["mae"] == pytest.approx(errors.mean(), rel=1e-5)


def test_the_page_stands_alone_and_has_every_part(made: Path, report: dict[str, Any], tmp_path: Path) -> None:
    text = write_idm_page(report | {"run": "some-run"}, Corpus.open(made / "corpus"), made / "truth", tmp_path / "page.html").read_text()
    page = Page(text)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!#)", text)
    assert all(reference.startswith(("data:", "#")) for reference in page.fetched) and "script" not in page.tags
    assert page.tags.count("svg") == 3 + 3, "quality, reliability, risk by coverage; a trace of each level up to three"
    worst = report["worst"]
    assert 4 <= len(worst) <= 6 and page.text.count("true pad") == len(worst) + 3 and page.tags.count("img") >= 4 * len(worst)
    for words in ("some-run", "A / cross", "released", "doom", "three", "novice", "before calibration", "60.0%", "confidence"):
        assert words in page.text, words
    assert "nan" not in page.text.lower().split() and "None" not in page.text


def test_a_page_without_videos_runs_or_calibration_still_stands(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(made, out)
    shutil.rmtree(out / "corpus" / "videos")
    corpus = Corpus.open(out / "corpus")
    bare = evaluate_labels(corpus, SOURCE, out / "truth")
    page = Page(write_idm_page(bare, corpus, out / "truth", out / "page.html").read_text())
    assert "does not exist" in page.text or "there is no" in page.text
    assert "no risk.json" in page.text
    shutil.rmtree(out / "truth")
    with pytest.raises(MissingError):
        evaluate_labels(corpus, SOURCE, out / "truth")


def test_hostile_names_stay_text(made: Path, report: dict[str, Any], tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>$\\frac{\" onload='x'"
    told = json.loads(json.dumps(report))
    told["run"] = told["corpus"] = told["by"]["level"][0]["value"] = told["by_video"][0]["video"] = evil
    told["beside"][evil] = told["beside"].pop("the same")
    text = write_idm_page(told, Corpus.open(made / "corpus"), made / "truth", tmp_path / "page.html").read_text()
    assert "<script" not in text and Page(text).text.count("<script>alert(1)</script>") >= 5
    assert not re.search(r"<[^>]*\sonload=", text)


def test_one_video_says_that_it_has_no_intervals(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(made, out)
    for id in ("a1", "b0", "c0"):
        (out / "truth" / f"{id}.parquet").unlink()
    corpus = Corpus.open(out / "corpus")
    report = evaluate_labels(corpus, SOURCE, out / "truth")
    assert report["intervals"]["resamples"] == 0
    assert "they need three" in write_idm_page(report, corpus, out / "truth", out / "page.html").read_text()
    assert "fewer than the 3 that they need" in quality_table(report)


def test_the_printed_table_fits_a_terminal(report: dict[str, Any]) -> None:
    lines = quality_table(report).splitlines()
    table = [line for line in lines if re.search(r"\d\.\d{3}", line[20:]) and ":" not in line]
    assert len(table) == 3 + 6 + 3 + 6, "a stick, a button, one that is never pressed, and the mean of both"
    assert max(map(len, table)) <= 100 and any("lag" in line and "+1" in line for line in lines)
    assert any(line.startswith("kept by thresholds for at most 60.0% wrong") for line in lines)


def test_the_command_writes_report_and_page(
    small: Any, idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_out: Callable[[], Path]
) -> None:
    corpus, second, out = tmp_path / "wild", tmp_path / "single-frame", tmp_path / "e.json"
    shutil.copytree(small.wild, corpus)
    shutil.copytree(idm_run, second)
    words = ["eval", "idm", str(idm_run), str(corpus), "--truth", str(small.truth), "--prior", str(small.novice)]
    assert main([*words, "--beside", str(second), "--out", str(out), "--html"]) == 0
    printed = capsys.readouterr().out
    assert "single-frame"[:12] in printed and "left y R2" in printed and str(tmp_path / "e.html") in printed
    report = read_json(out)
    assert {"idm", "baselines", "calibration", "by_video", "intervals", "beside", "worst", "run"} <= set(report)
    assert list(report["baselines"]) == ["always_released", "copy_previous", "prior"] and list(report["beside"]) == ["single-frame"]
    assert (tmp_path / "e.html").stat().st_size > 50_000
    assert main([*words, "--html", str(tmp_path / "x.html"), str(tmp_path / "y.html")]) == 2
    assert "one file" in capsys.readouterr().err
