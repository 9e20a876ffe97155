"""The commands that read a corpus do the same with one at an address: the real S3 driver against a server on this machine."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghostpad.base.records import labels_table, pads_of
from ghostpad.cli.main import main
from ghostpad.corpus.folder import RECORDED, Corpus

WHERE = "s3://bucket/deep/c"


def test_a_recorded_corpus_is_read_and_written_there(
    bucket: Any, small: Any, small_idm_flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    copy = shutil.copytree(small.novice, tmp_path / "novice", ignore=shutil.ignore_patterns("cache"))
    bucket.put(f"{copy}/", f"{WHERE}/", recursive=True)
    corpus, here = Corpus.open(WHERE), Corpus.open(small.novice)
    ids = here.ok_ids()

    def run(*words: str) -> str:
        assert main(list(words)) == 0
        return capsys.readouterr().out

    assert f"{WHERE}: 2 videos" in run("corpus", "status", WHERE)
    for id in ids:
        table = here.actions(RECORDED, id)
        pads, known = pads_of(table)
        spreads, confidence = np.ones((len(pads), 4), np.float32), np.full(len(pads), 0.9, np.float32)
        for source in ("idm-b", "idm-a"):
            corpus.write_actions(source, id, labels_table(table.column("pts_s").to_numpy(), pads, spreads, known, confidence))
    assert "labelled (idm-a)" in run("filter", WHERE), "written last"
    assert corpus.verdicts("default").num_rows
    assert "2 videos" in run("corpus", "status", WHERE)
    run("corpus", "align", WHERE)
    assert {"lag.json", "lag.png"} <= {path.name for path in corpus.root.iterdir()}
    assert all(corpus.video(id).lag_confidence is not None for id in ids)
    flags = [*small_idm_flags, "--train.steps", "2", "--data.validation-share", "0"]
    assert "IDM trained on" in run("train", "idm", WHERE, "--out", str(tmp_path / "run"), *flags)
    assert corpus.cache.is_relative_to(tmp_path) and list(corpus.cache.glob("*/*.npy")) and not (corpus.root / "cache").exists()
    like = ["corpus", "proxy", WHERE, "--like", str(tmp_path / "run")]
    assert "2 videos (0.3 min) made, 0 made before" in run(*like)
    assert "0 videos (0.0 min) made, 2 made before" in run(*like)
    run("corpus", "set-mask", WHERE, ids[0], "--box", "4", "4", "20", "20")
    assert corpus.video(ids[0]).overlay_px == (4, 4, 20, 20)
    mp4s = {path.name for path in (corpus.root / "segments" / "64x48-gray").iterdir() if path.suffix == ".mp4"}
    (corpus.root / "segments" / "64x48-gray" / f"{ids[1]}.index").unlink()
    assert "2 videos (0.3 min) made, 0 made before" in run(*like), "of another mask, and without an index"
    again = {path.name for path in (corpus.root / "segments" / "64x48-gray").iterdir() if path.suffix == ".mp4"}
    assert len(mp4s & again) == 1 and len(again) == 2, "the old ones of the masked video are gone"
    main(["corpus", "check-masks", WHERE])
    told = capsys.readouterr()
    assert all(any(line.startswith(id) for line in told.out.splitlines()) for id in ids) and "Traceback" not in told.err
    assert "IDM trained on" in run("train", "idm", WHERE, "--out", str(tmp_path / "again"), *flags)
    assert list((corpus.cache / "blocks").iterdir()), "parts of the segments"
