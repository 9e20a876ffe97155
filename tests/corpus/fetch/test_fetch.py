"""Fetching with the real yt-dlp from a server on loopback that stalls, cuts off, refuses, recovers and lies."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("yt_dlp")

from loopback import Site, corpus_of, last_try, row, running, unfinished

from ghostpad.base.errors import SettingsError
from ghostpad.base.records import CHUNKS, Video, write_table
from ghostpad.cli.main import main
from ghostpad.corpus.fetch.downloads import Downloads
from ghostpad.corpus.fetch.errors import failure_of
from ghostpad.corpus.fetch.fetch import fetch_corpus
from ghostpad.corpus.fetch.queue import FetchQueue
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.lab.made_up.videos import write_sample
from ghostpad.video.probe import read_stamps

TRIES = (("2026-07-01", "throttled"), ("2026-07-02", "dead"))
FAST = FetchSettings(wait_s=0.05, timeout_s=1.0, tries=4)


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("site") / "v.mp4"
    write_sample(path, width_px=160, height_px=96, fps=30, frames=90)
    return path.read_bytes()


@pytest.fixture
def site(body: bytes) -> Iterator[Site]:
    with running(Site({"good": body, "noise": bytes(4000), "page": b"<html><body>no film here</body></html>"})) as server:
        yield server


def test_what_comes_is_the_sites_own_file_with_its_own_stamps(site: Site, body: bytes, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"-abc": site.url("good")}, fps="30")
    counts = fetch_corpus(corpus, FAST)
    assert counts.fetched == 1 and not counts.failed
    path = corpus.video_path("-abc")
    assert path.read_bytes() == body and len(read_stamps(path)) == 90
    found = row(corpus, "-abc")
    assert (found.status, found.reason, found.frames, found.width_px, found.fps) == ("ok", None, 90, 160, "30")
    assert found.duration_s == pytest.approx(3) and len(found.sha256) == 64
    assert not unfinished(corpus), "nothing is left in flight"
    entry = last_try(corpus, "-abc")
    assert (entry["outcome"], entry["tries"], entry["part"], entry["size_bytes"]) == ("ok", 1, "whole", len(body))
    asked = site.asked.total()
    assert fetch_corpus(corpus, FAST).fetched == 0 and site.asked.total() == asked, "what is there is not asked for again"


@pytest.mark.parametrize(
    "behaviour, kind, status",
    [("404", "dead", "missing"), ("410", "dead", "missing"), ("403", "refused", "missing"), ("401", "login", "missing"),
     ("451", "geo-blocked", "missing"), ("page", "format", "missing"), ("noise", "not a video", "broken")],
)  # fmt: skip
def test_what_fails_for_good_is_kept_with_its_reason_and_not_asked_again(
    site: Site, tmp_path: Path, behaviour: str, kind: str, status: str
) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url(behaviour)})
    counts = fetch_corpus(corpus, FAST)
    assert counts.fetched == 0 and counts.failed["a"].kind == kind, counts.failed
    found = row(corpus, "a")
    assert found.status == status and found.reason.startswith(f"{kind}: ")
    assert not (corpus.root / "videos").exists() or not list((corpus.root / "videos").iterdir())
    asked = site.asked.total()
    assert fetch_corpus(corpus, FAST).skipped == 1 and site.asked.total() == asked
    fetch_corpus(corpus, FAST.model_copy(update={"retry": "all"}))
    assert site.asked.total() > asked and last_try(corpus, "a")["tries"] == 2
    assert Downloads(corpus).link_rot() == {"127.0.0.1": {kind: 1}}


@pytest.mark.parametrize("behaviour, tries", [("429x2", 3), ("503x1", 2), ("cut", None), ("stall", None)])
def test_what_passes_is_tried_again_and_the_file_is_whole(
    site: Site, body: bytes, tmp_path: Path, behaviour: str, tries: int | None
) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url(behaviour)})
    counts = fetch_corpus(corpus, FAST.model_copy(update={"tries": 9}))
    assert counts.fetched == 1, counts.failed
    assert corpus.video_path("a").read_bytes() == body
    if tries:
        assert last_try(corpus, "a")["tries"] == tries


def test_a_budget_ends_the_tries_and_the_next_run_asks_again(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("429x5")})
    assert fetch_corpus(corpus, FAST).failed["a"].kind == "throttled"
    assert row(corpus, "a").status == "missing" and row(corpus, "a").reason.startswith("throttled: ")
    assert fetch_corpus(corpus, FAST).fetched == 1


@pytest.mark.parametrize("asked, wait_s, least_s", [("1", 0.0, [1.0, 1.0]), ("", 0.4, [0.2, 0.4]), ("soon", 0.4, [0.2, 0.4])])
def test_a_try_waits_as_long_as_the_site_asks_or_longer_each_time(
    site: Site, tmp_path: Path, asked: str, wait_s: float, least_s: list[float]
) -> None:
    site.retry_after = asked
    corpus = corpus_of(tmp_path / "c", {"a": site.url("429x2")})
    assert fetch_corpus(corpus, FAST.model_copy(update={"wait_s": wait_s})).fetched == 1
    assert all(after - before >= least for before, after, least in zip(site.times, site.times[1:], least_s, strict=False)), site.times


def test_a_site_that_asked_for_a_pause_rests_and_others_go_on() -> None:
    videos = [Video(id, url=f"http://{host}/{id}") for id, host in (("a", "one.org"), ("b", "one.org"), ("c", "two.org"))]
    for whole_site, expected in ((True, "c"), (False, "b")):
        queue = FetchQueue(videos, per_site=2)
        first = queue.take()
        assert first is not None and first.id == "a"
        queue.again(first, 600.0, whole_site)
        following = queue.take()
        assert following is not None and following.id == expected


def test_an_address_that_is_none_ends_no_run(site: Site, tmp_path: Path) -> None:
    bad = {"ip": "http://[", "words": "not an address", "script": "javascript:alert(1)", "disk": f"file://{tmp_path}/c/videos.parquet"}
    corpus = corpus_of(tmp_path / "c", bad | {"z": site.url("good")})
    counts = fetch_corpus(corpus, FAST)
    assert counts.fetched == 1 and {id: failure.kind for id, failure in counts.failed.items()} == dict.fromkeys(bad, "format")
    assert "yt-dlp fails on http://[ (ValueError" in row(corpus, "ip").reason
    assert Downloads(corpus).link_rot()["unknown"]["format"] == len(bad) and fetch_corpus(corpus, FAST).skipped == len(bad)


def test_footage_that_ends_before_its_labels_is_broken(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("good")})
    chunk = dict.fromkeys(CHUNKS.names) | {"video": "a", "chunk": 0, "shard": "s", "status": "ok", "start_s": 0.0, "duration_s": 20.0}
    write_table(corpus.root / "chunks.parquet", pa.Table.from_pylist([chunk], schema=CHUNKS), "chunks")
    assert fetch_corpus(corpus, FAST).failed["a"].kind == "wrong length"
    assert row(corpus, "a").status == "broken" and "labels end at 20.0 s" in row(corpus, "a").reason


def test_two_at_a_time_from_one_site(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {f"v{n}": site.url("good", f"v{n}") for n in range(8)})
    assert fetch_corpus(corpus, FAST.model_copy(update={"workers": 8})).fetched == 8
    assert site.busiest <= 2


def test_killed_within_a_file_the_same_command_goes_on_with_it(site: Site, body: bytes, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("slow")})
    command = [sys.executable, "-m", "ghostpad", "corpus", "fetch", str(corpus.root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(path.stat().st_size > 4000 for path in unfinished(corpus, "a/*.part")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert row(corpus, "a").status == "missing" and not (corpus.root / "videos").exists()
    assert main(["corpus", "fetch", str(corpus.root)]) == 0
    assert corpus.video_path("a").read_bytes() == body
    assert site.ranges and int(re.findall(r"\d+", site.ranges[-1])[0]) > 0, "it began again at the first byte"


def test_labels_that_are_indexed_while_a_file_comes_stay(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("slow")})
    fetching = threading.Thread(target=fetch_corpus, args=(corpus, FAST))
    fetching.start()
    while fetching.is_alive() and not any(unfinished(corpus, "a/*.part")):
        time.sleep(0.01)
    boxed = {"game": "celeste", "labels": "raw", "overlay_px": (1.0, 2.0, 3.0, 4.0), "overlay_of_px": (160, 96)}
    corpus.add_video(replace(row(corpus, "a"), **boxed))
    fetching.join()
    assert row(corpus, "a").status == "ok" and boxed == {name: getattr(row(corpus, "a"), name) for name in boxed}


def test_killed_between_the_file_and_its_row(site: Site, body: bytes, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("404")})
    (corpus.root / "videos").mkdir()
    (corpus.root / "videos/a.mp4").write_bytes(body)
    assert fetch_corpus(corpus, FAST).fetched == 1 and not site.asked and corpus.ok_ids() == ["a"]


def test_what_an_earlier_version_noted_is_taken_over_once(site: Site, body: bytes, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("404"), "b": site.url("good")})
    about = {"site": "twitch", "url": "https://www.twitch.tv/videos/1", "words": "", "part": None, "bytes": None}
    lines = [about | {"video": "a", "first": date, "date": date, "outcome": outcome, "tries": 1} for date, outcome in TRIES]
    (corpus.root / "fetch" / "b").mkdir(parents=True)
    (corpus.root / "fetch" / "b" / "video-mp4.mp4.part").write_bytes(body[:9000])
    (corpus.root / "fetch/ledger.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"video": "b", "si')
    assert Downloads(corpus).link_rot() == {"twitch": {"dead": 1}}, "it can be read before it is taken over"
    counts = fetch_corpus(corpus, FAST)
    assert (counts.fetched, counts.skipped) == (1, 1) and corpus.video_path("b").read_bytes() == body
    assert site.ranges[-1] == "bytes=9000-", "the unfinished download went on"
    noted = {"first": "2026-07-01", "tries": 2, "size_bytes": None}
    assert last_try(corpus, "a") == {name: value for name, value in lines[1].items() if name != "bytes"} | noted
    assert not (corpus.root / "fetch/ledger.jsonl").exists() and not (corpus.root / "fetch/b").exists()
    assert fetch_corpus(corpus, FAST).skipped == 1 and last_try(corpus, "a")["tries"] == 2


@pytest.mark.parametrize(
    "words, kind",
    [
        ("ERROR: [youtube] abc: Private video. Sign in if you've been granted access to this video", "private"),
        ("ERROR: [youtube] abc: Video unavailable", "dead"),
        ("ERROR: [youtube] abc: Sign in to confirm you're not a bot. Use --cookies-from-browser", "login"),
        ("ERROR: [youtube] a: The uploader has not made this video available in your country", "geo-blocked"),
        ("ERROR: [twitch:vod] v1: Video v1 does not exist", "dead"),
        ("ERROR: something nobody has seen", "network"),
    ],
)
def test_sentences_of_sites(words: str, kind: str) -> None:
    assert failure_of(RuntimeError(words)).kind == kind


def test_videos_that_failed_for_one_reason_have_the_same_words() -> None:
    """Else each of a million dead videos would be a reason of its own to `ghostpad corpus status`."""
    dead = [failure_of(RuntimeError(f"ERROR: [twitch:vod] v{number}: Video v{number} does not exist")) for number in range(3)]
    assert {failure.words for failure in dead} == {"Video does not exist"}
    assert failure_of(RuntimeError("ERROR: [generic] 'a: b' is not a valid URL")).words == "[generic] 'a: b' is not a valid URL"
    assert failure_of(RuntimeError("ERROR: [youtube] abc: ")).words == "[youtube] abc:"


def test_the_command_reports_by_site(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("good"), "b": site.url("404", "w")})
    assert main(["corpus", "fetch", str(corpus.root), "--videos", "a,b"]) == 1
    printed = capsys.readouterr().out
    assert "1 videos fetched, 1 failed" in printed and "127.0.0.1: 2 requested: 1 dead, 1 ok" in printed
    assert main(["corpus", "fetch", str(corpus.root), "--report"]) == 0
    assert "dead: the site no longer has it" in capsys.readouterr().out
    assert main(["corpus", "fetch", str(corpus.root), "--videos", "b"]) == 1, "it failed before and is still not here"
    assert "1 that failed before were not tried again (--retry all)" in capsys.readouterr().out
    assert main(["corpus", "fetch", str(corpus.root), "--videos", "a"]) == 0
    assert "no video with an address is missing" in capsys.readouterr().out
    assert main(["corpus", "fetch", str(corpus.root), "--rate-limit", "fast", "--workers", "0"]) == 2
    refused = capsys.readouterr().err
    assert "--rate-limit is fast" in refused and "--workers is 0" in refused
    assert main(["corpus", "fetch", str(corpus.root), "--retry", "all", "--whole", "true"]) == 1
    assert "0 videos fetched, 1 failed" in capsys.readouterr().out, "the dead one was asked for again"
    with pytest.raises(SettingsError, match="no video called 'aa'"):
        fetch_corpus(corpus, FAST, ["aa"])


def test_footage_that_was_fetched_and_is_gone_is_fetched_again(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("good")})
    assert fetch_corpus(corpus, FAST).fetched == 1 and fetch_corpus(corpus, FAST).fetched == 0
    before, path = corpus.list_videos(), corpus.video_path("a")
    path.unlink()
    assert fetch_corpus(corpus, FAST).fetched == 1 and path.exists() and corpus.list_videos() == before
