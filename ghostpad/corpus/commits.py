"""The file of one version of a `ghostpad.corpus.table.Table`: the files of its older rows, and the rows that it adds itself.

It holds the CRC-32 of all that follows (a line of hex), the id, the id before and the files (a line of JSON), and the rows (an Arrow IPC
stream).
"""

import json
import secrets
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ghostpad.base.files import write_new
from ghostpad.base.pad import LAYOUT
from ghostpad.base.places import Place
from ghostpad.base.records import VERSIONS, as_kind
from ghostpad.corpus.runs import Run, damaged


@dataclass(frozen=True)
class Commit:
    """A version of a table of some kind."""

    rows: pa.Table  # that it adds or replaces
    runs: tuple[Run, ...]  # the files of older rows, oldest first
    after: str  # the `id` of the version before; "" for none
    id: str = field(default_factory=lambda: secrets.token_hex(8))  # no two are alike


def create_commit(path: Place, commit: Commit, kind: str) -> None:
    """Create the file of a commit. Raises `FileExistsError` if there is another commit's."""
    metadata = {"ghostpad.table": f"{kind}/{VERSIONS[kind]}", "ghostpad.layout": LAYOUT}
    rows, sink = commit.rows.replace_schema_metadata(metadata), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    about = {"id": commit.id, "after": commit.after, "runs": [[run.name, run.rows, run.size, run.footer_crc] for run in commit.runs]}
    rest = json.dumps(about).encode() + b"\n" + sink.getvalue().to_pybytes()
    try:
        write_new(path, f"{zlib.crc32(rest):08x}\n".encode() + rest)
    except FileExistsError:
        with suppress(FileNotFoundError):
            if read_commit(path, kind).id == commit.id:
                return  # the answer to a first request was lost, and the driver sent another
        raise


def read_commit(path: Place, kind: str) -> Commit:
    """The commit in a file. Raises `FormatError` for a damaged one or one of another kind or version, `FileNotFoundError` for none."""
    # At an address one request; without "start" s3fs makes three.
    body = path.read_bytes() if isinstance(path, Path) else path.fs.cat_file(path.path, start=0)
    crc, _, rest = body.partition(b"\n")
    if crc != f"{zlib.crc32(rest):08x}".encode():
        raise damaged(path, ValueError("its checksum is wrong"))
    head, _, rows = rest.partition(b"\n")
    about = json.loads(head)
    table = as_kind(path, pa.ipc.open_stream(rows).read_all(), kind).replace_schema_metadata(None)
    return Commit(table, tuple(Run(*run) for run in about["runs"]), about["after"], about["id"])
