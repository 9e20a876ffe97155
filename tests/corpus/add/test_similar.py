"""The index of codes finds what comparing all with all finds, asks for few fingerprints, and takes codes as they were stored."""

from collections.abc import Iterator

import numpy as np
import pytest

from ghostpad.corpus.add import similar
from ghostpad.corpus.add.fingerprint import Prints, likeness
from ghostpad.corpus.add.similar import CODE, MOST_CODES, SimilarIndex, codes_of
from ghostpad.lab.made_up.prints import encoded_anew, made_up_prints

STORED = ["797346605c78517c", "83afe8da1d0461f4", "4d009b167c5a675c", "65781ed3c9454b47", "a9c5f9b691c7dd1d", "29c7f98fc174620e"]


def index_of(videos: dict[str, Prints]) -> SimilarIndex:
    index = SimilarIndex()
    index.add(list(videos), [len(prints) + 1 for prints in videos.values()], [codes_of(prints) for prints in videos.values()])
    return index


def made_up_videos(rng: np.random.Generator, count: int, seconds: int = 5) -> dict[str, Prints]:
    prints = made_up_prints(rng, count * seconds).reshape(count, seconds)
    prints["second"] = np.arange(seconds)
    return {f"{index:05d}": one for index, one in enumerate(prints)}


def footage(rng: np.random.Generator, count: int) -> Iterator[tuple[Prints, float]]:
    """Videos of 5 to 60 s, of which every third shows an earlier one, some cut by a tenth, some with every other second."""
    made: list[tuple[Prints, float]] = []
    for _ in range(count):
        if made and rng.random() < 1 / 3:
            prints, duration_s = made[rng.integers(len(made))]
            again = encoded_anew(rng, prints, rng.uniform(0.15, 0.4))
            if len(again) > 20 and rng.random() < 0.5:
                again, duration_s = again[: -len(again) // 12], duration_s * 11 / 12
            made.append((again[::2] if len(again) > 40 and rng.random() < 0.5 else again, duration_s))
        else:
            seconds = int(rng.integers(5, 60))
            made.append((made_up_prints(rng, seconds), seconds + 1.0))
        yield made[-1]


def test_the_same_are_found_as_by_comparing_all() -> None:
    index, videos, found, expected = SimilarIndex(), dict[str, tuple[Prints, float]](), [], []
    for number, (prints, duration_s) in enumerate(footage(np.random.default_rng(0), 240)):
        near = [id for id, (_, other_s) in videos.items() if abs(other_s - duration_s) <= max(1, 0.1 * duration_s)]
        expected.append(next((id for id in near if likeness(prints, videos[id][0]) > 0), None))
        found.append(index.same(prints, duration_s, lambda id: videos[id][0]))
        if expected[-1] is None:
            videos[f"{number}"] = prints, duration_s
            index.add([f"{number}"], [duration_s], [codes_of(prints)])
    assert found == expected and 60 < len(expected) - expected.count(None) < 100
    assert len(index) == len(videos)


@pytest.mark.parametrize("margin, least_found", [(0.05, 0.85), (0.1, 0.95), (0.2, 1.0)])
def test_encodings_near_the_limit_are_found_among_many(margin: float, least_found: float) -> None:
    """Of five seconds each as far apart as the same pictures may be, but for a margin."""
    rng = np.random.default_rng(1)
    videos = made_up_videos(rng, 3000)
    index = index_of(videos)
    again = {id: encoded_anew(rng, videos[id], margin) for id in list(videos)[::10]}
    same = [id for id, prints in again.items() if likeness(prints, videos[id]) > 0]
    assert len(same) > 290
    assert np.mean([id in index.candidates(again[id], 6.0) for id in same]) >= least_found


def test_few_fingerprints_are_asked_for() -> None:
    rng = np.random.default_rng(2)
    index, asked = index_of(made_up_videos(rng, 3000)), list[str]()
    for prints in made_up_videos(rng, 300).values():
        assert index.same(prints, 6.0, lambda id: asked.append(id)) is None
    assert len(asked) < 30, "less than one for ten videos, of 3000"


def test_many_at_once_or_one_by_one_into_growing_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    videos = made_up_videos(rng, 400)
    at_once = index_of(videos)
    monkeypatch.setattr(similar, "_FEWEST_BITS", 8)
    monkeypatch.setattr(similar, "_MOST_BITS", 16)
    one_by_one = SimilarIndex()
    for id, prints in videos.items():
        one_by_one.add([id], [6.0], [codes_of(prints)])
    for id in list(videos)[::8]:
        again = encoded_anew(rng, videos[id], 0.3)
        assert list(at_once.candidates(again, 6.0)) == list(one_by_one.candidates(again, 6.0)) == [id]


def test_the_first_added_that_counts_is_named() -> None:
    rng = np.random.default_rng(4)
    prints = made_up_prints(rng, 12)
    videos = {name: encoded_anew(rng, prints, 0.4) for name in ("b", "a", "c")}
    index = index_of(videos)
    assert list(index.candidates(prints, 13.0)) == ["b", "a", "c"]
    assert index.same(prints, 13.0, videos.get) == "b"
    assert index.same(prints, 13.0, lambda id: videos[id] if id != "b" else None) == "a", "what is missing by now does not count"
    assert index.same(prints, 14.5, videos.get) is None, "a tenth longer at most"


def test_what_stands_still_or_has_no_codes_is_never_found() -> None:
    rng = np.random.default_rng(5)
    still, moving = made_up_prints(rng, 6), made_up_prints(rng, 30)
    still["change"] = 0.5
    assert codes_of(still) == codes_of(still[:0]) == b"" and len(codes_of(moving)) == MOST_CODES * CODE.itemsize
    index = SimilarIndex()
    assert list(index.candidates(moving, 31.0)) == []
    index.add([], [], [])
    index.add(["still", "never looked at", "é"], [31.0, 31.0, 31.0], [codes_of(still), b"", codes_of(moving)])
    assert list(index.candidates(moving, 31.0)) == ["é"] and list(index.candidates(still, 31.0)) == [] and len(index) == 3


def test_codes_stay_as_they_are_stored() -> None:
    prints = made_up_prints(np.random.default_rng(6), 3)
    y, x, quarter = np.arange(12)[:, None], np.arange(16), np.arange(4)[:, None, None]
    prints["blocks"] = [(100 * np.sin(k + y * (k + 1) / 5 + x / (k + 2) + quarter)).astype(np.int8).ravel() for k in range(3)]
    found = np.frombuffer(codes_of(prints), CODE)
    assert [f"{word:016x}" for word in found["signs"].ravel()] == STORED, "codes in the catalogues that exist"


def test_codes_of_other_seconds_at_the_places_that_are_looked_at_do_no_harm() -> None:
    rng, index = np.random.default_rng(0), SimilarIndex()
    stored = rng.integers(0, 256, (20_000, 8 * CODE.itemsize), np.uint8)
    index.add([str(at) for at in range(len(stored))], [6.0] * len(stored), [bytes(codes) for codes in stored])
    for prints in made_up_videos(rng, 200).values():
        assert list(index.candidates(prints, 6.0)) == []
