"""Places: a path and an address are used alike, and what a disk or a store refuses is told in a sentence."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from s3fs.errors import translate_boto_error

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import atomic_path, new_path, write_new
from ghostpad.base.places import is_remote, local_file, open_place, place, place_error


def test_a_path_stays_a_path_and_an_address_has_the_same_methods(tmp_path: Path) -> None:
    assert place(str(tmp_path)) == place(tmp_path) == tmp_path and not is_remote(tmp_path)
    there = place("memory://places/c")
    assert is_remote(there) and (there / "a.txt").name == "a.txt" and place(there) is there
    with atomic_path(there / "deep" / "a.txt") as temporary:
        temporary.write_text("one")
    assert (there / "deep" / "a.txt").read_text() == "one"
    with local_file(there / "deep" / "a.txt") as here:
        assert here.read_text() == "one" and here.name == "a.txt"
    assert not here.exists(), "the copy is gone with the block"


@pytest.mark.parametrize("where", ["tmp", "memory"])
def test_of_several_writers_of_a_new_file_one_succeeds(where: str, tmp_path: Path) -> None:
    path = (tmp_path if where == "tmp" else place("memory://places/new")) / "a.txt"
    write_new(path, b"first")
    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    with pytest.raises(FileExistsError), new_path(path) as temporary:
        temporary.write_bytes(b"third")
    assert path.read_bytes() == b"first"


def test_addresses_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        place("nowhere://a/b")
    with pytest.raises(MissingError, match="does not exist"), local_file(place("memory://places/none.mp4")):
        pass


def test_d22_an_empty_name_is_no_folder() -> None:
    for look in (place, open_place):
        with pytest.raises(SettingsError, match="is empty"):
            look("")


def answer(code: str, message: str) -> Exception:
    """What s3fs makes of a store's answer."""
    return translate_boto_error(ClientError({"Error": {"Code": code, "Message": message}}, "HeadObject"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("error, words", [
    (OSError(errno.ENOSPC, "", "a.parquet"), "a.parquet: no space left on device: make room"),
    (OSError(errno.EFBIG, "", "a.parquet"), "may not grow so large"),
    (OSError(errno.EROFS, "", "a.parquet"), "read-only file system"),
    (OSError(errno.ESTALE, "", "a.parquet"), "check the connection"),
    (PermissionError(errno.EACCES, "", "a.parquet"), "change its rights"),
    (FileNotFoundError(errno.ENOENT, "", "/unplugged/a.mp4"), "bring the disk back"),
    (PermissionError("Forbidden"), "check its address, keys and connection"),
    (NoCredentialsError(), "check its address, keys and connection"),
    (ClientError({"Error": {"Code": "ExpiredToken", "Message": "gone"}}, "PutObject"), "check its address, keys and connection"),
    (answer("400", "Bad Request"), "check its address, keys and connection"),
    (answer("SlowDown", "Reduce your request rate."), "Reduce your request rate"),
    (answer("NoSuchBucket", "The specified bucket does not exist"), "bucket does not exist"),
])  # fmt: skip
def test_d20_what_no_program_can_help_is_a_sentence(error: Exception, words: str) -> None:
    told = place_error(error)
    assert told is not None and words in str(told) and "\n" not in str(told)


def test_a_bug_stays_a_bug() -> None:
    assert place_error(FileNotFoundError(errno.ENOENT, "", "a")) is None and place_error(OSError("odd")) is None


def test_lost_keys_end_a_command_with_one_line(bucket: Any, tmp_path: Path) -> None:
    code = "import sys; from ghostpad.cli.main import main; sys.exit(main(sys.argv[1:]))"
    lost = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
    environment = os.environ | lost | {"AWS_EC2_METADATA_DISABLED": "true"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.pop(name)
    done = subprocess.run(
        [sys.executable, "-c", code, "corpus", "status", "s3://bucket/c"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.startswith("ghostpad: error: "), done.stderr
