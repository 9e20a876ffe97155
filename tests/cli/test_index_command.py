"""`corpus index`, `corpus status` and `bench index` from the command line."""

import json
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    files = sample_files(
        [SampleChunk("-a", n, 40) for n in range(3)] + [SampleChunk("v1", 0, 40, "Hollow Knight"), SampleChunk("bad", 0, 40)]
    )
    broken = [(name, b"junk" if name == "bad/bad_chunk_0000/metadata.json" else body) for name, body in files]
    write_shard(tmp_path / "SHARD_0000.tar.gz", [file for file in broken if file[0] != "-a/-a_chunk_0001/actions_raw.parquet"])
    return tmp_path / "SHARD_0000.tar.gz"


def test_index_then_status(shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "c"
    assert main(["corpus", "index", str(shard), "--out", str(corpus)]) == 0
    told = capsys.readouterr().out
    assert "3 videos, 5 chunks, 0.02 h labelled" in told and "1 holes" in told
    assert "broken: metadata.json is not JSON: 1" in told and "broken: actions_raw.parquet is missing: 1" in told
    assert main(["corpus", "status", str(corpus), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["videos"], status["chunks"], status["hours"]) == (3, 5, pytest.approx(60 / 3600))
    assert status["by_game"]["hollow_knight"] == {"videos": 1, "hours": pytest.approx(20 / 3600)}
    assert status["by_state"]["missing"]["videos"] == 2 and status["by_state"]["broken"]["videos"] == 1
    assert status["broken"] == {"metadata.json is not JSON": 1, "actions_raw.parquet is missing": 1}
    assert status["missing"] == {"not fetched yet": 2}
    assert main(["corpus", "status", str(corpus)]) == main(["corpus", "status", str(corpus)]) == 0
    shown = capsys.readouterr().out
    assert ["celeste", "unknown", "youtube", "missing", "1", "0.01"] in [line.split() for line in shown.splitlines()]
    assert "missing: not fetched yet: 2 videos" in shown
    assert "broken: metadata.json is not JSON: 1" in shown and "rows from recorded: 2 videos" in shown


def test_a_screen_is_enough_for_many_games(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunks = [SampleChunk(f"v{n}", 0, 2, f"game {n}") for n in range(60)] + [SampleChunk("v59", 1, 2, "game 59")]
    write_shard(tmp_path / "SHARD_0.tar.gz", sample_files(chunks))
    assert main(["corpus", "index", str(tmp_path / "SHARD_0.tar.gz"), "--out", str(tmp_path / "c")]) == 0
    capsys.readouterr()
    assert main(["corpus", "status", str(tmp_path / "c")]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 24 and "and 50 more groups" in shown
    assert shown.splitlines()[2].split()[0] == "game_59"  # the most hours come first


@pytest.mark.parametrize(
    "flags, code, message",
    [
        (["--games", "celest"], 2, "did you mean 'celeste'?"),
        (["--games", ","], 2, "--games names no game"),
        (["--labels", "processed"], 0, ""),
    ],
)
def test_words_that_cannot_work(
    shard: Path, flags: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "index", str(shard), "--out", str(tmp_path / "c"), *flags]) == code
    assert message in capsys.readouterr().err


def test_absent_shards_make_no_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "index", str(tmp_path / "none.tar.gz"), "--out", str(tmp_path / "c")]) == 1
    assert "none.tar.gz" in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_the_bench_gives_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "index", "--quick", "--repeats", "1", "--out", str(tmp_path / "bench.json")]) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["ways"].keys() == {"tar -tzf", "a rare game", "every game"} and report["memory"]["chunks"] == 100
    for told in report["ways"].values():
        assert told["wall_s"]["median"] > 0 and told["cpu_ratio"]["median"] > 0 and told["peak_mb"] > 0
    assert "tar -tzf" in capsys.readouterr().out
    assert main(["lab", "bench", "index", "--repeats", "0"]) == 2
