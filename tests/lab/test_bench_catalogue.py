"""`ghostpad lab bench catalogue` measures something of everything it promises, and its two candidates hold the same rows."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from ghostpad.cli.main import main
from ghostpad.lab.bench.catalogue_ways import Catalogue, Sqlite, Way, id_of, made_up_rows


def test_the_bench_gives_every_number_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture = tmp_path / "bench.json", tmp_path / "curves.png"
    flags = ["--rows", "500", "--changes", "8", "--writers", "2", "--no-store", "--out", str(out), "--picture", str(picture)]
    assert main(["lab", "bench", "catalogue", *flags]) == 0
    report = json.loads(out.read_text())
    assert report["ways"].keys() == {"catalogue", "SQLite"} and report["machine"]["cores"] > 0
    for sizes in report["ways"].values():
        assert [one["rows"] for one in sizes] == [500]
        for one in sizes:
            assert (one["changes"], one["lost"], one["requests"]) == (8, 0, {}) and one["tries"] >= 1 and one["files"] > 0
            assert all(
                one[key] > 0 for key in ("add_s", "worst_add_s", "add_mb", "scan_s", "first_find_ms", "find_ms", "bytes", "change_ms")
            )
    assert report["ways"]["catalogue"][0]["status_mb"] > 20
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert "catalogue, 500 rows" in told and "8 changes: 0 lost" in told and "ghostpad corpus status" in told


def test_impossible_sizes_are_refused_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "catalogue", "--rows", "0", "--writers", "0"]) == 2
    told = capsys.readouterr().err
    assert "writers is 0" in told and "rows[0] is 0" in told


@pytest.mark.parametrize("way", [Catalogue, Sqlite])
def test_both_ways_do_the_same(way: type[Way], tmp_path: Path) -> None:
    table = way(str(tmp_path / "t"))
    for first in (0, 60):
        table.add(made_up_rows(first, 80))
    assert way(str(tmp_path / "t")).change(id_of(7)) == 1
    assert (table.find(id_of(7)).attempts, table.find(id_of(8)).attempts, table.find(id_of(8)).game) == (1, 0, "game-8")
    read = pa.concat_tables(table.scan())
    assert read.column("id").to_pylist() == sorted(map(id_of, range(140))) and read.column_names == ["id", "game", "status", "duration_s"]
