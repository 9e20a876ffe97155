"""Files appear whole or not at all, also when the writer is killed in the middle."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import (
    append_json,
    atomic_folder,
    atomic_path,
    keep_new,
    kept_folder,
    link_or_copy,
    new_path,
    read_json,
    read_json_lines,
    safe_name,
    write_json,
    write_new,
)

HALF_A_FILE = """
import sys, time
from ghostpad.base.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    with open(temporary, "wb") as file:
        file.write(b"half of the new")
        file.flush()
        print("written", flush=True)
        time.sleep(60)
"""
HALF_A_FOLDER = """
import sys, time
from ghostpad.base.files import atomic_folder
with atomic_folder(sys.argv[1]) as temporary:
    (temporary / "a").write_text("new")
    print("written", flush=True)
    time.sleep(60)
"""


HALF_A_WORK = """
import sys, time
from pathlib import Path
from ghostpad.base.files import kept_folder
with kept_folder(Path(sys.argv[1])) as folder:
    (folder / "part").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def kill_in_the_middle(code: str, target: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_the_old_file_whole_and_the_next_one_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    target.write_bytes(b"old")
    kill_in_the_middle(HALF_A_FILE, target)
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2, "the killed process leaves its temporary file"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new" and list(tmp_path.iterdir()) == [target]


def test_unfinished_work_has_one_owner_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "work"
    with subprocess.Popen([sys.executable, "-c", HALF_A_WORK, str(target)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        with kept_folder(target) as folder:
            assert folder is None, "a living process has it"
        process.send_signal(signal.SIGKILL)
    with kept_folder(target) as folder:
        assert folder == target and (folder / "part").read_text() == "half"
        shutil.rmtree(folder)
        with kept_folder(target) as another:
            assert another == target and not list(another.iterdir()), "one that was removed is begun anew"
    assert target.exists()


def test_a_killed_writer_leaves_the_old_folder_whole(tmp_path: Path) -> None:
    target = tmp_path / "step-100"
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("old")
    kill_in_the_middle(HALF_A_FOLDER, target)
    assert (target / "a").read_text() == "old"
    with atomic_folder(target) as temporary:
        (temporary / "b").write_text("new")
    assert [path.name for path in target.iterdir()] == ["b"] and list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "table.parquet"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "run"):
        raise ZeroDivisionError
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_a_living_writer_keeps_its_temporary_file(tmp_path: Path) -> None:
    other = tmp_path / f".a.json.tmp-{os.getppid()}.json"
    other.write_text("half")
    write_json(tmp_path / "a.json", 1)
    assert other.exists()


def test_a_writer_killed_between_the_two_names_of_a_new_file_leaves_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    with new_path(path) as temporary:
        temporary.write_text("whole")
    os.link(path, temporary)  # what a kill just before the end leaves
    with pytest.raises(FileExistsError), new_path(path) as again:
        assert again == temporary
        again.write_text("other")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_and_is_hidden(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "deep" / "a.mp4") as temporary:
        assert temporary.suffix == ".mp4" and temporary.name.startswith(".")
        temporary.touch()
    assert (tmp_path / "deep" / "a.mp4").exists()


def test_d04_writers_with_one_process_number_leave_each_other_alone(tmp_path: Path) -> None:
    """Two containers on one disk: in each the writer is process 1 or 2, so a number does not say whose a temporary file is."""
    apart = [shutil.which("unshare") or "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no process namespaces here (they need root)")
    target = tmp_path / "video.mp4"
    with subprocess.Popen([*apart, sys.executable, "-c", HALF_A_FILE, str(target)], stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None and living.stdout.readline() == "written\n"
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        whole = HALF_A_FILE.replace("time.sleep(60)", "pass")
        subprocess.run([*apart, sys.executable, "-c", whole, str(target)], check=True)
        assert target.read_bytes() == b"half of the new" and list(before.values()) == [b"half of the new"]
        assert {path: path.read_bytes() for path in before} == before
        living.kill()


def test_d25_writing_a_file_does_not_list_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("the folder is listed"))
    with atomic_path(tmp_path / "a.mp4") as temporary:
        temporary.write_bytes(b"new")
    write_json(tmp_path / "a.json", 1)
    write_new(tmp_path / "b", b"new")
    assert (tmp_path / "a.mp4").read_bytes() == b"new" == (tmp_path / "b").read_bytes()


def test_what_is_new_is_on_the_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(os.path.isdir(f"/proc/self/fd/{handle}")), real(handle))[1])
    write_new(tmp_path / "a", b"new")
    assert flushed == [False, True]
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"newer")
    assert (tmp_path / "a").read_bytes() == b"new" and list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_json_goes_out_and_comes_back_in_a_fixed_order(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"b": [1.5, None], "a": "ü"})
    assert read_json(path) == {"a": "ü", "b": [1.5, None]}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')


def test_not_a_number_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "facts.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_missing_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="facts.json"):
        read_json(tmp_path / "facts.json")
    (tmp_path / "facts.json").write_bytes(b'{"a": \xff')
    with pytest.raises(FormatError, match="facts.json is not JSON"):
        read_json(tmp_path / "facts.json")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a:b", "a\0b", "é" * 101])
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        safe_name(name)


def test_ordinary_names_pass() -> None:
    assert safe_name("doom-novice_007.v2") == "doom-novice_007.v2"


def test_lines_of_json_survive_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    assert read_json_lines(path) == []
    append_json(path, {"a": 1})
    with open(path, "ab") as file:
        file.write(b'[3]\nnot JSON\n{"b": "to')
    append_json(path, {"c": "é"})
    assert read_json_lines(path) == [{"a": 1}, {"c": "é"}]


def test_a_second_name_is_made_once_and_copies_where_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no second names here")

    source, linked, copied = (tmp_path / name for name in ("a", "in/b", "in/c"))
    source.write_bytes(b"12345")
    link_or_copy(source, linked)
    assert linked.samefile(source)
    monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):
        link_or_copy(source, copied)
        assert copied.read_bytes() == b"12345" and not copied.samefile(source)
    copied.write_bytes(b"half")
    link_or_copy(source, copied)
    assert copied.read_bytes() == b"12345"


def test_many_writers_of_one_file_do_not_remove_each_others(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write_json(path, [number] * 50), range(400)))
    assert len(set(read_json(path))) == 1 and list(tmp_path.iterdir()) == [path]


def test_a_scratch_file_on_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, scratch, target = os.link, tmp_path / "cache" / "a.mp4", tmp_path / "videos" / "a.mp4"
    scratch.parent.mkdir()
    scratch.write_bytes(b"pictures")

    def link(source: Path, to: Path) -> None:
        if Path(source).parent != Path(to).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, to)

    monkeypatch.setattr(os, "link", link)
    target.parent.mkdir()
    keep_new(scratch, target)
    assert target.read_bytes() == b"pictures" and [path.name for path in target.parent.iterdir()] == ["a.mp4"]
    with pytest.raises(FileExistsError):
        keep_new(scratch, target)
