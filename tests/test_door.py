"""The public door: what `import ghostpad` offers, that it costs nothing until used, and that every name of it works."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ghostpad
import ghostpad.corpus
import ghostpad.idm
import ghostpad.measure
import ghostpad.policy
from ghostpad.base.errors import GhostpadError, MissingError
from ghostpad.lab.made_up.nitrogen_policy import random_policy

HEAVY = {"torch", "numpy", "pyarrow", "av", "pydantic", "rich", "tyro", "accelerate"}


def fresh(code: str) -> Any:
    """The last line that `code` prints in a process of its own, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LOADED = "print(json.dumps([sorted(n for n in dir(ghostpad) if n[0] != '_'), sorted({n.partition('.')[0] for n in sys.modules})]))"


def test_importing_and_listing_loads_no_library() -> None:
    names, loaded = fresh(f"import ghostpad, json, sys; {LOADED}")
    assert not HEAVY & set(loaded)
    assert set(names) == {name for name in ghostpad.__all__ if not name.startswith("_")} and len(ghostpad.__all__) <= 10


def test_imported_folders_do_not_show_among_the_names() -> None:
    names, loaded = fresh(f"import ghostpad, ghostpad.corpus, ghostpad.label, json, sys; ghostpad.SLOTS; {LOADED}")
    assert "pyarrow" in loaded and "torch" not in loaded
    assert names == sorted(name for name in ghostpad.__all__ if not name.startswith("_"))


def test_no_public_name_hides_a_folder() -> None:
    assert not set(ghostpad.__all__) & set(ghostpad._FOLDERS)
    for folder in ("label", "corpus", "measure", "idm", "policy"):
        code = f"import json, ghostpad; ghostpad.score; import ghostpad.{folder} as it; print(json.dumps(it.__name__))"
        assert fresh(code) == f"ghostpad.{folder}"


def test_every_name_is_typed_and_leads_to_one_object() -> None:
    source = Path(ghostpad.__file__).read_text(encoding="utf-8")
    typed = source.partition("if TYPE_CHECKING:")[2].partition("else:")[0]
    for name, (module, own_name) in ghostpad._DOOR.items():
        assert f"from {module} import {own_name}" in typed
        assert getattr(ghostpad, name) is getattr(sys.modules[module], own_name)
    assert {*ghostpad._DOOR, "__version__"} == set(ghostpad.__all__)


def test_a_mistyped_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'open_corpsu'"):
        ghostpad.open_corpsu  # noqa: B018
    with pytest.raises(ImportError, match="open_corpsu"):
        exec("from ghostpad import open_corpsu")


def test_the_whole_door_at_work(small: Any, idm_run: Path, tmp_path: Path) -> None:
    corpus = ghostpad.open_corpus(small.novice)
    (row, *_) = corpus.videos().to_pylist()
    recorded = corpus.actions("recorded", row["id"])
    assert recorded is not None and set(ghostpad.SLOTS) <= set(recorded.column_names)
    labels = ghostpad.label_file(corpus.video_path(row["id"]), idm_run)
    assert labels.equals(ghostpad.load_idm(idm_run).label(corpus.video_path(row["id"])))
    score = ghostpad.score(labels, recorded, fps=35 / 2)
    assert score["rows"] == recorded.num_rows and score["sticks"]["right_x"]["r2"] is not None
    with pytest.raises(ghostpad.GhostpadError, match="there is no corpus"):
        ghostpad.open_corpus(tmp_path)


def test_what_others_call_keeps_working(small: Any, idm_run: Path) -> None:
    corpus = ghostpad.corpus.open(small.novice)
    id = corpus.videos().column("id")[0].as_py()
    assert corpus.actions("recorded", id) is not None and corpus.actions("idm-none", id) is None
    labels = ghostpad.idm.load(idm_run).label(corpus.video_path(id))
    assert ghostpad.measure.score(labels, corpus.actions("recorded", id), 17.5)["videos"] == 1
    assert callable(ghostpad.policy.from_nitrogen) and issubclass(GhostpadError, Exception)


def test_loading_a_policy(idm_run: Path, tmp_path: Path) -> None:
    from ghostpad.train.checkpoint import claim, publish

    pytest.importorskip("transformers")
    made = random_policy(tiny=True)
    claim(tmp_path / "run", made, {}, "none")
    publish(tmp_path / "run", {name: value.contiguous() for name, value in made.state_dict().items()})
    policy = ghostpad.load_policy(tmp_path / "run")
    assert not policy.training and policy.device.type == "cpu"
    assert all((value == policy.state_dict()[name]).all() for name, value in made.state_dict().items())
    with pytest.raises(MissingError, match="not a run"):
        ghostpad.load_policy(tmp_path / "nothing")
    with pytest.raises(ghostpad.GhostpadError, match="'policy' is needed"):
        ghostpad.load_policy(idm_run)
    shutil.copytree(tmp_path / "run", tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ghostpad.GhostpadError, match="broken"):
        ghostpad.load_policy(tmp_path / "cut")
