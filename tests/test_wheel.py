"""The wheel: it builds, holds every file of the package, and works from a folder that knows nothing of the checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import ghostpad

ROOT = Path(__file__).parent.parent
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("ghostpad-*.whl")
    return found


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs words with the installed wheel, from an empty folder, without the checkout on the path; gives what they print."""
    target, elsewhere = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("elsewhere")
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    environment = os.environ | {"PYTHONPATH": str(target), "COLUMNS": "100"}

    def call(*words: str) -> str:
        done = subprocess.run(words, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = call(sys.executable, "-c", "import ghostpad; print(ghostpad.__file__)")
    assert Path(where.strip()).is_relative_to(target)
    return lambda *words: call(str(target / "bin" / words[0]), *words[1:]) if words[0] == "ghostpad" else call(*words)


def pip(*words: str) -> None:
    """pip, without asking the registry for anything."""
    done = subprocess.run([sys.executable, "-m", "pip", *words, "--no-index", "-q"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if not name.startswith(f"ghostpad-{ghostpad.__version__}.dist-info/")}
    files = (path for path in (ROOT / "ghostpad").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert inside == {str(path.relative_to(ROOT)) for path in files}
    assert {"ghostpad/py.typed", "ghostpad/view/templates/page.css", "ghostpad/lab/study/idm/study.html.jinja"} <= inside
    assert {Path(name).name for name in set(names) - inside} >= {"METADATA", "LICENSE", "NOTICE", "entry_points.txt"}


@pytest.mark.parametrize("words", ["--help", "--version", "lab --help", "train idm --help", "lab study idm --help"])
def test_commands_answer_from_anywhere(run: Run, words: str) -> None:
    assert "ghostpad" in run("ghostpad", *words.split())


def test_footage_is_recorded_and_read_from_anywhere(run: Run) -> None:
    assert "1 episodes" in run("ghostpad", "record", "doom", "--minutes", "0.05", "--out", "here")
    assert "1 videos" in run("ghostpad", "corpus", "status", "here")


def test_pages_are_written_from_anywhere(run: Run) -> None:
    code = """
from pathlib import Path
import ghostpad
from jinja2 import Environment, FileSystemLoader
from ghostpad.view.page import TEMPLATES
pages = sorted(Path(ghostpad.__file__).parent.rglob("*.jinja"))
for page in pages:
    environment = Environment(loader=FileSystemLoader([page.parent, TEMPLATES]))
    environment.filters |= {"number": str, "duration": str}
    environment.get_template(page.name)
print(len(pages))
"""
    assert int(run(sys.executable, "-c", code)) > 5
    run("ghostpad", "eval", "policy", "--games", "doom", "--players", "random", "--episodes", "1", "--out", "out/eval/random.json")
    page = Path(run("ghostpad", "report", "out").strip())
    text = run(sys.executable, "-c", f"print(open('{page}').read())")
    assert text.lstrip().startswith("<!doctype html>") and "<style>" in text and "random" in text
