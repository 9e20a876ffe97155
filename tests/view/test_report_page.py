"""The report is one page with everything inside, shows what is there, names what is not, and trusts no name it is given."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import read_json, write_json
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.view import plots
from ghostpad.view.findings import gather, mean_of
from ghostpad.view.page import duration, number
from ghostpad.view.report import IDM_CLIP, headline, write_report
from ghostpad.view.still import write_picture

Make = Callable[[], Path]


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


@pytest.fixture(scope="module")
def whole(make_out: Make) -> tuple[Path, Page, str]:
    out = make_out()
    shutil.rmtree(out / "clips")  # the report makes the clip
    text = write_report(out).read_text(encoding="utf-8")
    return out, Page(text), text


def test_the_page_stands_alone(whole: tuple[Path, Page, str]) -> None:
    _, page, text = whole
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!#)", text)
    assert all(reference.startswith(("data:", "#")) for reference in page.fetched)
    assert "script" not in page.tags and "link" not in page.tags


def test_the_page_has_every_part(whole: tuple[Path, Page, str]) -> None:
    out, page, _ = whole
    assert page.tags.count("svg") == 7, "arms, quality, trace, calibration, risk over coverage, funnel, losses"
    assert page.tags.count("figcaption") == page.tags.count("figure") == 8
    assert page.tags.count("video") == 1 and (out / IDM_CLIP).exists()
    for words in ("900 ± 10", "500 ± 10", "80% of the way", "Copy previous".lower(), "idle", "train.steps", "1234", "BSD-3-Clause", "–"):
        assert words in page.text


def test_the_same_folder_gives_the_same_page(whole: tuple[Path, Page, str]) -> None:
    out, _, text = whole
    assert write_report(out).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["eval"], ["ghostpad eval policy", "ghostpad eval idm"]),
        (["wild", "clips"], ["ghostpad label", "ghostpad filter"]),
        (["truth", "clips"], ["ghostpad label"]),
        (["wild/verdicts", "idm-s0"], ["ghostpad filter", "ghostpad train idm", "data.validation_share"]),
        (["wild", "truth", "idm-s0", "eval/idm-s0.json"], ["ghostpad eval idm", "ghostpad play --video"]),
    ],
)
def test_what_is_missing_is_named_with_its_command(make_out: Make, gone: list[str], words: list[str]) -> None:
    out = make_out()
    for name in gone:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
    page = Page(write_report(out).read_text(encoding="utf-8"))
    assert all(word in page.text for word in words)


def test_nothing_to_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nowhere")]) == 1
    assert main(["report", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert "there is no folder" in printed and "holds nothing to report yet" in printed
    with pytest.raises(MissingError):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_hostile_names_stay_text(make_out: Make) -> None:
    out, evil = make_out(), "<script>alert(1)</script>$\\frac{\" onload='x'"
    write_json(out / "results.json", {"game": evil, "seconds": {evil: 1.0}, "arms": {evil: {"mean": 1.0, "sem": None, "by_seed": {}}}})
    one = read_json(out / "eval" / "idm-s0.json")
    one["by_video"][0]["video"] = one["source"] = evil
    one["baselines"][evil] = one["baselines"].pop("prior")
    one["idm"]["buttons"][evil] = one["idm"]["buttons"].pop("south")
    write_json(out / "eval" / "idm-s0.json", one)
    text = write_report(out).read_text(encoding="utf-8")
    assert "<script" not in text and Page(text).text.count("<script>alert(1)</script>") >= 6
    assert not re.search(r"<[^>]*\sonload=", text)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"idm": {}}', '{"idm": {}, "baselines": {}}', '{"games": [{"game": "doom", "rows": [{"arm": "pseudo"}]}]}']
)
def test_a_broken_evaluation_is_named(make_out: Make, content: str) -> None:
    out = make_out()
    (out / "eval" / "broken.json").write_text(content)
    with pytest.raises(FormatError, match="broken.json"):
        write_report(out)
    assert not (out / "report.html").exists()


def test_undefined_everywhere_still_makes_a_page(make_out: Make) -> None:
    out = make_out()

    def undefined(value: object) -> object:
        return {key: undefined(inner) for key, inner in value.items()} if isinstance(value, dict) else None

    one = read_json(out / "eval" / "idm-s0.json")
    one["idm"], one["baselines"], one["calibration"] = undefined(one["idm"]), undefined(one["baselines"]), {"sticks": {}, "buttons": {}}
    write_json(out / "eval" / "idm-s0.json", one)
    assert "nan" not in Page(write_report(out).read_text(encoding="utf-8")).text.lower().split()


def test_a_clip_of_older_labels_is_made_again(make_out: Make) -> None:
    out = make_out()
    write_report(out)
    before = (out / IDM_CLIP).read_bytes()
    corpus = Corpus.open(out / "wild")
    corpus.write_actions("idm-0123456789ab", "v0", corpus.actions("idm-0123456789ab", "v1"))
    write_report(out)
    assert (out / IDM_CLIP).read_bytes() != before


def test_seeds_are_averaged_and_errors_combined(make_out: Make) -> None:
    out = make_out()
    other = read_json(out / "eval" / "pseudo-s0.json")
    other["games"][0]["rows"][0]["mean"] = 700.0
    write_json(out / "eval" / "pseudo-s1.json", other)
    arm = gather(out).arms["pseudo"]
    assert (
        (arm["mean"], arm["n"]) == (800.0, 4)
        and arm["sem"] == pytest.approx(10 / 2**0.5)
        and arm["sd_seeds"] == pytest.approx(141.42, abs=0.01)
    )
    assert mean_of([{"a": 1, "b": None}, {"a": 3, "b": 2}, None]) == {"a": 2, "b": 2} and mean_of([None]) is None


def test_the_headline_claims_no_share_of_a_gap_within_the_noise(make_out: Make) -> None:
    out = make_out()
    oracle = read_json(out / "eval" / "oracle-s0.json")
    oracle["games"][0]["rows"][0]["mean"] = 510.0
    write_json(out / "eval" / "oracle-s0.json", oracle)
    assert "of the way" not in headline(gather(out)) and "900" in headline(gather(out))


def test_numbers_for_people() -> None:
    assert [number(value) for value in (None, 0.12345, 1234.5, 3, -0.5)] == ["–", "0.123", "1,234", "3", "-0.500"]
    assert [duration(value) for value in (0.44, 41.2, 233, 7500)] == ["0.4 s", "41 s", "3 min 53 s", "2 h 05 min"]


def test_plots_leave_no_figure_behind() -> None:
    import matplotlib._pylab_helpers as helpers

    svg = plots.funnel_plot({"kept": 1.0, "idle": 0.5})
    assert svg.startswith('<svg role="img"') and "currentColor" in svg and not helpers.Gcf.figs


def test_the_picture(make_out: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, target = make_out(), tmp_path / "demo.png"
    assert main(["report", str(out), "--picture", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n" and not (out / "report.html").exists()
    with Image.open(target) as image:
        assert image.format == "PNG" and image.size == (1280, 480)
    shutil.rmtree(out / "truth")
    with pytest.raises(MissingError, match="ghostpad label"):
        write_picture(out, tmp_path / "other.png")
