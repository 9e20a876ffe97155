"""Fetching beside others: a second process, a second machine, a command that adds the same footage; lost files, full disks, S3."""

import hashlib
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yt_dlp")

from loopback import Site, corpus_of, last_try, row, running, unfinished

from ghostpad.base.errors import SettingsError
from ghostpad.base.records import Video
from ghostpad.cli.main import main
from ghostpad.corpus.fetch.fetch import fetch_corpus
from ghostpad.corpus.fetch.queue import AHEAD, FetchQueue
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.videos import write_sample

FAST = FetchSettings(wait_s=0.05, timeout_s=1.0, tries=2)
VIDEOS = 8


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Videos that differ, by the file's name on the site."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(VIDEOS):
        write_sample(folder / f"v{number}.mp4", width_px=64, height_px=48, fps=30, frames=20 + number)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def site(bodies: dict[str, bytes]) -> Iterator[Site]:
    with running(Site(bodies | {"noise.mp4": bytes(9000)})) as server:
        server.slow_s = 0.02
        yield server


def check_right(corpus: Corpus, bodies: dict[str, bytes]) -> None:
    """Every video is there once, with the site's bytes and a row of them."""
    for number in range(VIDEOS):
        found, wanted = row(corpus, f"v{number}"), bodies[f"v{number}.mp4"]
        assert (found.status, found.reason, found.attempts) == ("ok", None, 0)
        assert corpus.path_of(found).read_bytes() == wanted
        assert (found.sha256, found.size_bytes, found.frames) == (hashlib.sha256(wanted).hexdigest(), len(wanted), 20 + number)
    assert len(list((corpus.root / "videos").iterdir())) == VIDEOS and not unfinished(corpus)


@pytest.mark.parametrize("machines", [["one", "one"], ["one", "two"]], ids=["processes", "machines"])
def test_d06_two_that_fetch_at_once_mix_no_files(site: Site, bodies: dict[str, bytes], tmp_path: Path, machines: tuple[str, str]) -> None:
    corpus = corpus_of(tmp_path / "c", {f"v{number}": site.url("slow", f"v{number}") for number in range(VIDEOS)})
    words = f"['corpus', 'fetch', {str(corpus.root)!r}, '--wait-s', '0.05']"
    code = "import socket, sys; socket.gethostname = lambda: sys.argv[1]\nfrom ghostpad.cli.main import main; sys.exit(main({}))"
    both = [subprocess.Popen([sys.executable, "-c", code.format(words), name], stdout=subprocess.PIPE, text=True) for name in machines]
    printed = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0] and all(" 0 failed" in text for text in printed), printed
    check_right(corpus, bodies)
    if machines[0] == machines[1]:
        assert set(site.asked.values()) == {2}, "each was asked for once: what it is, and its bytes"
        assert sum(int(text.split(": ")[1].split()[0]) for text in printed) == VIDEOS
    asked = site.asked.total()
    assert fetch_corpus(corpus, FAST).fetched == 0 and site.asked.total() == asked


def while_it_comes(site: Site, corpus: Corpus, act: Callable[[], object]) -> Any:
    """Do something while the only video of a corpus is being downloaded; the counts."""
    counts = list[Any]()
    fetching = threading.Thread(target=lambda: counts.append(fetch_corpus(corpus, FAST)))
    fetching.start()
    while fetching.is_alive() and site.asked.total() < 2:
        time.sleep(0.005)
    act()
    fetching.join()
    return counts[0]


@pytest.mark.parametrize("name", ["v1", "noise"])
def test_d05_footage_that_was_added_while_it_came_stays(site: Site, bodies: dict[str, bytes], tmp_path: Path, name: str) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("slow", name)})
    theirs, site.slow_s = bodies["v2.mp4"], 0.35
    added = replace(row(corpus, "a"), status="ok", reason=None, sha256=hashlib.sha256(theirs).hexdigest(), size_bytes=len(theirs))

    def add() -> None:
        (corpus.root / "videos").mkdir(exist_ok=True)
        (corpus.root / "videos/a.mp4").write_bytes(theirs)
        corpus.add_video(added)

    counts = while_it_comes(site, corpus, add)
    assert row(corpus, "a") == added and corpus.video_path("a").read_bytes() == theirs
    assert (counts.elsewhere, counts.failed.keys()) == ((1, set()) if name == "v1" else (0, {"a"}))


def test_d05_only_the_facts_of_the_footage_are_written(site: Site, tmp_path: Path) -> None:
    site.slow_s = 0.35
    corpus = corpus_of(tmp_path / "c", {"a": site.url("slow", "v1")})
    while_it_comes(site, corpus, lambda: corpus.change(["a"], lambda old: replace(old, licence="mine", lag_ms=12.0, level="E1M1")))
    found = row(corpus, "a")
    assert (found.status, found.licence, found.lag_ms, found.level) == ("ok", "mine", 12.0, "E1M1")


@pytest.mark.parametrize("lost", ["deleted", "truncated", "emptied"])
def test_d03_footage_that_was_lost_or_cut_off_is_fetched_again(site: Site, bodies: dict[str, bytes], tmp_path: Path, lost: str) -> None:
    corpus = corpus_of(tmp_path / "c", {f"v{number}": site.url("good", f"v{number}") for number in range(VIDEOS)})
    assert fetch_corpus(corpus, FAST).fetched == VIDEOS
    before, path = corpus.list_videos(), corpus.video_path("v3")
    path.unlink() if lost == "deleted" else path.write_bytes(path.read_bytes()[: 0 if lost == "emptied" else 4000])
    assert fetch_corpus(corpus, FAST).fetched == 1 and corpus.list_videos() == before
    check_right(corpus, bodies)


def test_what_lies_where_the_footage_goes_is_taken_if_it_is_footage(site: Site, bodies: dict[str, bytes], tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {f"v{number}": site.url("good", f"v{number}") for number in range(VIDEOS)})
    (corpus.root / "videos").mkdir()
    (corpus.root / "videos/v0.mp4").write_bytes(bodies["v0.mp4"])
    (corpus.root / "videos/v1.mp4").write_bytes(bodies["v1.mp4"][:5000])
    (corpus.root / "videos/v2.mp4").symlink_to(tmp_path / "nowhere")
    assert fetch_corpus(corpus, FAST).fetched == VIDEOS and "/good/v0.mp4" not in site.asked
    check_right(corpus, bodies)


def test_attempts_are_counted_and_reasons_chosen(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(tmp_path / "c", {"gone": site.url("404"), "closed": site.url("401"), "none": "http://["})
    for _ in range(2):
        fetch_corpus(corpus, FAST)
    assert {video.id: video.attempts for video in corpus.list_videos()} == {"gone": 1, "closed": 1, "none": 1}
    for retry, again in (("dead", {"gone"}), ("LOGIN: ", {"closed"}), ("yt-dlp", {"none"}), ("all", {"gone", "closed", "none"})):
        before = {id: last_try(corpus, id)["tries"] for id in ("gone", "closed", "none")}
        counts = fetch_corpus(corpus, FAST.model_copy(update={"retry": retry}))
        assert counts.failed.keys() == again and counts.skipped == 3 - len(again)
        assert {id for id, tries in before.items() if last_try(corpus, id)["tries"] > tries} == again
    with pytest.raises(SettingsError, match="nothing failed with the reason 'deed': did you mean 'dead'"):
        fetch_corpus(corpus, FAST.model_copy(update={"retry": "deed"}))
    assert main(["corpus", "fetch", str(corpus.root), "--retry", "login"]) == 1
    assert "0 videos fetched, 1 failed; 2 that failed before were not tried again (--retry all)" in capsys.readouterr().out
    assert row(corpus, "closed").attempts == 4


def test_a_corpus_at_an_address(site: Site, bodies: dict[str, bytes], bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = Corpus.create("s3://bucket/c")
    rows = [Video(f"v{number}", url=site.url("good", f"v{number}"), status="missing") for number in range(VIDEOS)]
    corpus.put_videos([*rows, Video("w", url=site.url("404"), status="missing")])
    command = ["corpus", "fetch", "s3://bucket/c"]
    assert main(command) == 1, "one is dead"
    check_right(corpus, bodies)
    assert row(corpus, "w").reason.startswith("dead: ") and corpus.cache.is_relative_to(tmp_path)
    bucket.rm("bucket/c/videos/v1.mp4")
    bucket.pipe_file("bucket/c/videos/v2.mp4", b"cut off")
    bucket.invalidate_cache()
    asked = site.asked.total()
    assert main(command) == 1 and site.asked.total() == asked + 4
    check_right(corpus, bodies)


def test_d20_a_full_disk_ends_the_run_and_the_same_command_goes_on(site: Site, bodies: dict[str, bytes], tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {f"v{number}": site.url("good", f"v{number}") for number in range(VIDEOS)})
    command = [sys.executable, "-m", "ghostpad", "corpus", "fetch", str(corpus.root)]
    room = 30_000  # bytes of a file: enough for a row, not for a video with this much behind it
    site.bodies |= {name: body + (8 + 2 * room).to_bytes(4) + b"free" + bytes(2 * room) for name, body in bodies.items()}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    )
    assert done.returncode == 1 and "file too large" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not corpus.ok_ids() and {video.reason for video in corpus.list_videos()} == {"not fetched yet"}
    assert not (corpus.root / "videos").exists()
    assert main(command[3:]) == 0
    check_right(corpus, site.bodies)


def test_d27_a_video_costs_its_own_rows_and_not_the_table(site: Site, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url("good", "v1")})
    corpus.put_videos([Video(f"other-{number:05d}", reason=f"for {number} reasons") for number in range(20_000)])
    before = {path: path.stat().st_size for path in corpus.root.rglob("*") if path.is_file()}
    assert fetch_corpus(corpus, FAST).fetched == 1
    tables = [path for path in corpus.root.rglob("*") if path.parent.name in ("catalogue", "fetch") and path.is_file()]
    written = sum(path.stat().st_size for path in tables if before.get(path) != path.stat().st_size)
    assert written < 40_000 < max(before.values())


def test_a_queue_takes_videos_as_they_are_needed() -> None:
    taken = count()
    source = (Video(f"v{next(taken)}", url=f"http://site{number % 3}.org/") for number in range(3 * AHEAD))
    queue = FetchQueue(source, per_site=2)
    first = [queue.take() for _ in range(6)]
    assert len({video.id for video in first if video}) == 6 and next(taken) <= AHEAD + 7
    for video in first:
        assert video is not None
        queue.again(video, 0.0, whole_site=False)
    rest = list[Video]()
    while video := queue.take():
        queue.done(video)
        rest.append(video)
    assert len({video.id for video in rest}) == len(rest) == 3 * AHEAD
    assert list(islice(iter(queue.take, None), 1)) == []
