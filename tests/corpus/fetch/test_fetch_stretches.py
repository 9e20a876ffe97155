"""Only the stretches that labels cover, from HLS, DASH and plain files on loopback; and what sites promise, want and withhold."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("yt_dlp")

from loopback import Site, corpus_of, last_try, row, running, unfinished

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import machine
from ghostpad.base.records import CHUNKS, write_table
from ghostpad.base.settings import load_settings
from ghostpad.corpus.fetch.copy import rate_within, uncovered
from ghostpad.corpus.fetch.fetch import fetch_corpus
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.fetch.stretches import Span, cut_fragments, cut_playlist, label_spans, share, widened
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.summary import summarise
from ghostpad.feed.load import segment_store
from ghostpad.feed.make_segments import make_segments
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import read_stamps

FAST = FetchSettings(wait_s=0.05, timeout_s=1.0, tries=4, margin_s=0.5, join_s=1.0)
FPS, SECONDS = 30, 30


def encode(
    path: Path,
    kind: str,
    fps: int = FPS,
    seconds: int = SECONDS,
    size: tuple[int, int] = (64, 96),
    open_groups: bool = False,
    **options: str,
) -> None:
    """Noise that brightens, a keyframe a second: every frame is told from every other."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 128, (8, size[0] * 3 // 2, size[1]), np.uint8)
    x264 = {"preset": "veryfast", "g": str(fps), "x264-params": f"scenecut=0:open-gop={open_groups:d}:bframes=3", "crf": "20"}
    with av.open(str(path), "w", format=kind, options=options) as out:
        stream = out.add_stream("libx264", rate=fps, options=x264)
        stream.height, stream.width = size
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for index in range(fps * seconds):
            frame = av.VideoFrame.from_ndarray(noise[index % 8] + np.uint8(index * 127 // (fps * seconds)), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


class Films(NamedTuple):
    folder: Path
    bodies: dict[str, bytes]
    pictures: dict[float, np.ndarray]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """One film as an mp4, mkv, HLS in MPEG-TS and in fragments of mp4, and DASH; its pictures by time stamp."""
    folder = tmp_path_factory.mktemp("films")
    encode(folder / "good", "mp4")
    hls = {"hls_time": "1", "hls_list_size": "0"}
    copies = {
        "early.mp4": ("mp4", {"movflags": "faststart"}),
        "film.mkv": ("matroska", {}),
        "hls.m3u8": ("hls", hls | {"hls_segment_filename": f"{folder}/ts%d.ts"}),
        "frag.m3u8": (
            "hls",
            {"hls_time": "1", "hls_list_size": "0", "hls_segment_type": "fmp4", "hls_segment_filename": f"{folder}/f%d.m4s"},
        ),
        "dash.mpd": ("dash", {"seg_duration": "1", "use_template": "0", "use_timeline": "0"}),
    }
    for name, (kind, options) in copies.items():
        with av.open(str(folder / "good")) as source, av.open(str(folder / name), "w", format=kind, options=options) as out:
            copy = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    pictures = {frame.pts_s: frame.image for frame in decode_frames(folder / "good", gray=True)}
    return Films(folder, {path.name: path.read_bytes() for path in folder.iterdir()}, pictures)


@pytest.fixture
def site(films: Films) -> Iterator[Site]:
    with running(Site(films.bodies)) as server:
        yield server


def labelled(root: Path, url: str, *spans: tuple[float, float], id: str = "a", **columns: Any) -> Corpus:
    """A corpus of one missing video whose labels cover these stretches."""
    corpus = corpus_of(root, {id: url}, **columns)
    label(corpus, {id: spans})
    return corpus


def label(corpus: Corpus, spans: dict[str, Sequence[tuple[float, float]]]) -> None:
    rows = [
        dict.fromkeys(CHUNKS.names) | {"video": id, "chunk": n, "shard": "s", "status": "ok", "start_s": start, "duration_s": end - start}
        for id, found in spans.items()
        for n, (start, end) in enumerate(found)
    ]
    write_table(corpus.root / "chunks.parquet", pa.Table.from_pylist(rows, schema=CHUNKS), "chunks")


def check_same_frames(path: Path, films: Films, spans: Sequence[tuple[float, float]]) -> list[float]:
    """Frames stand at the original's time with the original's pictures, and none within the spans is missing."""
    stamps = [float(stamp) for stamp in read_stamps(path)]
    for frame in decode_frames(path, gray=True):
        original = min(films.pictures, key=lambda pts_s: abs(pts_s - frame.pts_s))
        assert abs(original - frame.pts_s) < 0.002
        assert np.array_equal(frame.image, films.pictures[original]), f"another picture at {frame.pts_s} s"
    assert stamps[0] == 0
    for start, end in spans:
        assert sum(start <= stamp < end for stamp in stamps) == round((end - start) * FPS)
    return stamps


SEGMENTED = [("f", "hls", "m3u8"), ("f", "frag", "m3u8"), ("f", "dash", "mpd")]
STREAMS = [("good", "v", "mp4"), ("f", "early", "mp4"), ("f", "film", "mkv"), *SEGMENTED]


@pytest.mark.parametrize("stream", STREAMS, ids=[f"{name}.{kind}" for _, name, kind in STREAMS])
def test_only_what_labels_cover_comes_and_keeps_its_time(site: Site, films: Films, tmp_path: Path, stream: tuple[str, str, str]) -> None:
    spans = [(10.0, 12.0), (11.5, 13.0), (25.0, 26.0)]
    corpus = labelled(tmp_path / "c", site.url(*stream), *spans, fps="30")
    assert fetch_corpus(corpus, FAST).fetched == 1, corpus.list_videos()
    stamps = check_same_frames(corpus.video_path("a"), films, spans)
    assert len(stamps) < 12 * FPS, f"{len(stamps)} frames came"
    asked = [map(int, re.findall(r"\d+", part)) for part in site.ranges]  # yt-dlp's first look at a plain file is cut off after 512 bytes
    came = sum(last + 1 - first for first, last in asked) or sum(site.sent.values())
    assert came < 0.6 * len(films.bodies["good"]), (site.ranges, site.sent)
    found = row(corpus, "a")
    assert found.status == "ok" and found.fps == "30" and found.duration_s == pytest.approx(stamps[-1] + 1 / FPS, abs=0.002)
    assert last_try(corpus, "a")["part"] == "stretches"
    hours = summarise(corpus)["hours"]
    assert hours * 3600 == pytest.approx(len(stamps) / FPS, abs=0.01), "hours of footage, without the holes"
    spec = WindowSpec((0, 1), (0,), 32, 32, True)
    assert make_segments(corpus, spec).made == 1
    assert segment_store(corpus, spec, DataSettings()).pictures(found).pts_s.tolist() == stamps


@pytest.mark.parametrize("stream", SEGMENTED, ids=["ts", "fmp4", "dash"])
def test_a_whole_stream_begins_at_zero(site: Site, films: Films, tmp_path: Path, stream: tuple[str, str, str]) -> None:
    corpus = labelled(tmp_path / "c", site.url(*stream), (0.0, 28.0))
    assert fetch_corpus(corpus, FAST).fetched == 1, corpus.list_videos()
    assert len(check_same_frames(corpus.video_path("a"), films, [(0, SECONDS)])) == FPS * SECONDS
    assert last_try(corpus, "a")["part"] == "whole" and row(corpus, "a").fps == "30"


def test_the_whole_where_a_site_answers_no_ranges_or_it_is_wished(site: Site, films: Films, tmp_path: Path) -> None:
    for behaviour, settings in (("plain", FAST), ("good", FAST.model_copy(update={"whole": True}))):
        corpus = labelled(tmp_path / behaviour, site.url(behaviour), (10, 12))
        assert fetch_corpus(corpus, settings).fetched == 1
        assert corpus.video_path("a").read_bytes() == films.bodies["good"] and last_try(corpus, "a")["part"] == "whole"


def test_the_whole_where_a_clock_begins_anew_or_segments_lie_about_their_length(site: Site, films: Films, tmp_path: Path) -> None:
    text = films.bodies["hls.m3u8"].decode()
    lengths = iter(["0.5"] * 15 + ["1.5"] * 15)
    site.bodies["lying.m3u8"] = re.sub(r"(?<=#EXTINF:)1\.0+", lambda _: next(lengths), text).encode()
    site.bodies["anew.m3u8"] = text.replace("ts20.ts", "ts20.ts\n#EXT-X-DISCONTINUITY").encode()
    for name in ("lying", "anew"):
        corpus = labelled(tmp_path / name, site.url("f", name, "m3u8"), (20, 22))
        assert fetch_corpus(corpus, FAST).fetched == 1, corpus.list_videos()
        check_same_frames(corpus.video_path("a"), films, [(0, SECONDS)])
        assert last_try(corpus, "a")["part"] == "whole"


def test_the_whole_where_a_decoder_needs_what_was_left_out(films: Films, tmp_path: Path) -> None:
    encode(tmp_path / "good", "mp4", open_groups=True)
    with running(Site({"good": (tmp_path / "good").read_bytes()})) as site:
        corpus = labelled(tmp_path / "c", site.url("good"), (10, 12))
        assert fetch_corpus(corpus, FAST).fetched == 1
    assert last_try(corpus, "a")["part"] == "whole" and len(list(decode_frames(corpus.video_path("a"), gray=True))) == FPS * SECONDS


def test_labels_that_end_after_the_video_break_stretches_too(site: Site, tmp_path: Path) -> None:
    corpus = labelled(tmp_path / "c", site.url("f", "hls", "m3u8"), (10, 12), (50, 60))
    assert fetch_corpus(corpus, FAST).failed["a"].kind == "wrong length"
    assert "30.0 s long, its labels end at 60.0 s" in row(corpus, "a").reason


def test_ranges_that_break_off_are_asked_for_again_and_kept_blocks_are_not(site: Site, films: Films, tmp_path: Path) -> None:
    corpus = labelled(tmp_path / "c", site.url("twice"), (10, 12))
    assert fetch_corpus(corpus, FAST.model_copy(update={"tries": 30})).fetched == 1, corpus.list_videos()
    check_same_frames(corpus.video_path("a"), films, [(10, 12)])
    whole = [asked for asked in site.ranges if not asked.startswith("bytes=0-")]
    assert len(whole) <= 2 * len(set(whole)), "a block that was there was asked for again"


@pytest.mark.parametrize("stream", [("trickle", "v", "mp4"), ("trickle", "hls", "m3u8")], ids=["file", "playlist"])
def test_a_trickle_is_given_up(site: Site, tmp_path: Path, stream: tuple[str, str, str]) -> None:
    corpus = corpus_of(tmp_path / "c", {"a": site.url(*stream)})
    failure = fetch_corpus(corpus, FAST.model_copy(update={"tries": 1, "timeout_s": 0.7, "min_rate": 50.0})).failed["a"]
    assert failure.kind == "network" and "bytes a second" in failure.words, failure


def test_cookies_reach_the_site_and_their_file_stays_as_it_is(site: Site, tmp_path: Path) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tsecret\n")
    jar.chmod(0o400)
    before = jar.read_bytes()
    for name, stream in {"file": ("good", "v", "mp4"), "hls": ("f", "hls", "m3u8")}.items():
        corpus = labelled(tmp_path / name, site.url(*stream), (10, 12))
        assert fetch_corpus(corpus, FAST.model_copy(update={"cookies": jar})).fetched == 1
    assert set(site.cookies) == {"session=secret"} and jar.read_bytes() == before


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    def given(**values: Any) -> FetchSettings:
        return load_settings(FetchSettings, None, values)

    (tmp_path / "page.txt").write_text("<html>")
    with pytest.raises(SettingsError, match="netscape format"):
        given(cookies=str(tmp_path / "page.txt"))
    with pytest.raises(SettingsError, match="--cookies is .*none.txt: path does not point to a file"):
        given(cookies=str(tmp_path / "none.txt"))
    with pytest.raises(SettingsError) as problems:
        given(timeout_s="0", min_rate="-1", rate_limit="-2", workers="0", margin_s="-1")
    assert len(problems.value.problems) == 5
    with pytest.raises(SettingsError, match="rate_limit is 4000: it must be more than min_rate, 5000 bytes a second"):
        given(rate_limit="4K")
    read = given(rate_limit="2M", min_rate="1.5k", max_height="480", whole="true")
    assert (read.rate_limit, read.min_rate, read.max_height, read.whole) == (2_000_000, 1500, 480, True)


@pytest.mark.parametrize("stated, kind", [("PT30S", None), ("PT31S", None), ("PT55S", "wrong length")])
@pytest.mark.parametrize("part", [False, True], ids=["whole", "stretches"])
def test_the_length_a_site_states(site: Site, tmp_path: Path, stated: str, kind: str | None, part: bool) -> None:
    about = {"@context": "https://schema.org", "@type": "VideoObject", "name": "v", "contentUrl": site.url("good"), "duration": stated}
    site.bodies["about.html"] = f'<html><head><script type="application/ld+json">{json.dumps(about)}</script></head></html>'.encode()
    corpus = labelled(tmp_path / "c", site.url("f", "about", "html"), (10, 12) if part else (0, 29))
    counts = fetch_corpus(corpus, FAST)
    if kind is None:
        assert counts.fetched == 1, counts.failed
        assert last_try(corpus, "a")["part"] == ("stretches" if part else "whole")
    else:
        assert counts.failed["a"].kind == kind and "the site says 55.0 s" in row(corpus, "a").reason


@pytest.fixture(scope="module")
def renditions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """HLS as 480p at 30 Hz and 360p at 60 Hz."""
    folder = tmp_path_factory.mktemp("renditions")
    for name, rate, size in (("big", 30, (480, 48)), ("small", 60, (360, 48))):
        options = {"hls_list_size": "0", "hls_segment_filename": f"{folder}/{name}%d.ts"}
        encode(folder / f"{name}.m3u8", "hls", rate, 1, size, **options)
    master = (
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=640x480,FRAME-RATE=30.000\nbig.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=480x360,FRAME-RATE=60.000\nsmall.m3u8\n"
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"master.m3u8": master}


RATES = [("60", 720, "small"), ("59.94", 720, "small"), ("30", 720, "big"), (None, 720, "big"), ("30", 400, "small")]


@pytest.mark.parametrize("fps, most, wanted", RATES)
def test_the_rate_of_the_labels_comes_before_height(
    renditions: dict[str, bytes], tmp_path: Path, fps: str | None, most: int, wanted: str
) -> None:
    with running(Site(renditions)) as site:
        corpus = corpus_of(tmp_path / "c", {"a": site.url("f", "master", "m3u8")}, fps=fps)
        assert fetch_corpus(corpus, FAST.model_copy(update={"max_height": most})).fetched == 1
        assert {path for path in site.asked if path.endswith(".ts")} == {f"/f/{wanted}0.ts"}
    found = row(corpus, "a")
    assert (found.height_px, found.fps) == ((360, "60") if wanted == "small" else (480, "30"))


def test_killed_the_same_command_does_only_the_video_in_flight_again(site: Site, tmp_path: Path) -> None:
    encode(tmp_path / "short", "mp4", seconds=4)
    site.slow_s = 0.02
    site.bodies["good"] = site.bodies["slow"] = (tmp_path / "short").read_bytes()
    corpus = corpus_of(tmp_path / "c", {f"v{n}": site.url("slow" if n == 2 else "good", f"v{n}") for n in range(5)})
    command = [sys.executable, "-m", "ghostpad", "corpus", "fetch", str(corpus.root), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(path.stat().st_size > 4000 for path in unfinished(corpus, "v2/*.part")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert corpus.ok_ids() == ["v0", "v1"]
    before = dict(site.asked)
    site.slow_s = 0
    site.ranges.clear()
    assert fetch_corpus(corpus, FAST).fetched == 3 and corpus.ok_ids() == [f"v{n}" for n in range(5)]
    again = {path for path, count in before.items() if site.asked[path] > count}
    assert again == {"/slow/v2.mp4"}, "only the one in flight is asked for again"
    assert any(not asked.startswith("bytes=0-") for asked in site.ranges), "and that from where it stopped"
    assert all(corpus.video_path(f"v{n}").read_bytes() == site.bodies["good"] for n in range(5))


def test_what_is_live_is_left_for_a_later_run(site: Site, films: Films, tmp_path: Path) -> None:
    whole = films.bodies["hls.m3u8"]
    site.bodies["now.m3u8"] = whole.replace(b"#EXT-X-ENDLIST", b"")
    corpus = labelled(tmp_path / "c", site.url("f", "now", "m3u8"), (10, 12))
    assert fetch_corpus(corpus, FAST).failed["a"].kind == "live" and last_try(corpus, "a")["tries"] == 1
    site.bodies["now.m3u8"] = whole
    assert fetch_corpus(corpus, FAST).fetched == 1


def test_a_doubled_segment_of_a_killed_run_is_fetched_anew(site: Site, films: Films, tmp_path: Path) -> None:
    head, *segments = films.bodies["hls.m3u8"].decode().split("#EXTINF")
    site.bodies["short.m3u8"] = "#EXTINF".join([head, *segments[:4]]).encode() + b"#EXT-X-ENDLIST\n"
    corpus = corpus_of(tmp_path / "c", {"a": site.url("f", "short", "m3u8")})
    folder = corpus.cache / "fetch" / machine() / "a"
    folder.mkdir(parents=True)
    (folder / "video-0.mp4.part").write_bytes(films.bodies["ts0.ts"] * 2)
    (folder / "video-0.mp4.ytdl").write_text('{"downloader": {"current_fragment": {"index": 1}}}')
    assert fetch_corpus(corpus, FAST).fetched == 1, corpus.list_videos()
    assert len(check_same_frames(corpus.video_path("a"), films, [(0, 4)])) == 4 * FPS
    assert last_try(corpus, "a")["tries"] == 2


def test_stretches_of_labels() -> None:
    statuses = {"start_s": [40.0, 0.0, 20.0], "status": ["ok", "ok", "broken"]}
    assert label_spans(pa.table(statuses | {"video": ["a"] * 3, "duration_s": [20.0] * 3})) == {"a": [Span(0, 20), Span(40, 60)]}
    assert widened([Span(40, 60), Span(0, 20)], 2, 20) == [Span(0, 62)]
    assert widened([Span(50, 60), Span(0, 20)], 2, 20) == [Span(0, 22), Span(48, 62)]
    assert share([Span(0, 22), Span(48, 62)], 60) == pytest.approx(34 / 60) and share([Span(0, 1)], 0) == 1


def test_a_cut_playlist_says_what_a_segment_needs() -> None:
    text = "\n".join(
        ["#EXTM3U", "#EXT-X-MEDIA-SEQUENCE:7", '#EXT-X-MAP:URI="i.mp4"', '#EXT-X-KEY:METHOD=AES-128,URI="k"']
        + [line for n in range(5) for line in ("#EXTINF:4.0,", f"#EXT-X-BYTERANGE:{100 + n}" + ("@50" if n == 0 else ""), "all.mp4")]
        + ["#EXT-X-ENDLIST"]
    )
    cut = cut_playlist(text, [Span(9, 10), Span(100, 200)])
    assert cut is not None and cut[1] == 20
    assert cut[0].split() == ["#EXTM3U", '#EXT-X-MAP:URI="i.mp4"', "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
        "#EXT-X-MEDIA-SEQUENCE:7", "#EXTINF:4.0,", "#EXT-X-BYTERANGE:100@50", "all.mp4",
        "#EXT-X-MEDIA-SEQUENCE:9", "#EXTINF:4.0,", "#EXT-X-BYTERANGE:102@251", "all.mp4", "#EXT-X-ENDLIST"]  # fmt: skip
    for bad in ("", "a.ts", "#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nb.ts", "#EXTINF:4,\na.ts\nb.ts"):
        assert cut_playlist(bad, [Span(0, 1)]) is None


def test_cut_fragments() -> None:
    fragments = [{"url": "i"}] + [{"url": str(n), "duration": 2.0} for n in range(5)]
    cut = cut_fragments(fragments, [Span(5, 5.5)])
    assert cut is not None and cut[1] == 10 and [fragment["url"] for fragment in cut[0]] == ["i", "0", "2"]
    assert cut_fragments([{"url": "0"}, {"url": "1"}], [Span(0, 1)]) is None


def test_rates_and_holes() -> None:
    for rate in (Fraction(60000, 1001), Fraction(30), Fraction(25), Fraction(24000, 1001)):
        for tick in (1000, 15360, 90000):
            rounded = [start + Fraction(round(n / rate * tick), tick) for start in (0, 7, 100) for n in range(150)]
            assert rate_within(rounded) == rate, (rate, tick)
    assert rate_within([Fraction(n, 17) * Fraction(101, 100) for n in range(500)]) == Fraction(1700, 101)
    stamps = [Fraction(n * 1001, 60000) for n in range(600)] + [100 + Fraction(n * 1001, 60000) for n in range(600)]
    assert rate_within(stamps) == Fraction(60000, 1001)
    assert uncovered(stamps, [Span(0, 10), Span(100.5, 109)], 200) is None
    assert uncovered(stamps, [Span(0, 10), Span(98, 105)], 200) == Span(98, 105)
    assert uncovered(stamps, [Span(105, 120)], 200) == Span(105, 120) and uncovered(stamps, [Span(105, 120)], 110.5) is None
