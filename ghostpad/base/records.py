"""The tables that stages meet in, with their columns and versions.

The alignment sentence, which every stage relies on: **row i is the pad in force between showing frame i and showing frame
i+1.** A video of n frames therefore has n-1 rows; row i carries the presentation time stamp of frame i.

    videos    one row a video                         corpus/catalogue/
    actions   one row a frame, recorded pads          corpus/actions/recorded/<video>.parquet
    labels    one row a frame, an IDM's pseudo-labels  corpus/actions/idm-<fingerprint>/<video>.parquet
    chunks    one row a chunk of a dataset's labels    corpus/chunks.parquet
    verdicts  one row a stretch of frames             corpus/verdicts/<name>.parquet
    failures  one row a task and video                corpus/failures/
    downloads one row a video that was asked for       corpus/fetch/
    files     one row a file that was read to be added  corpus/add/files/
    prints    one row a video whose pictures are known  corpus/add/prints/

Every file carries `ghostpad.table` (name and version) and `ghostpad.layout` in its schema metadata, and any facts that its
writer adds (model fingerprint, licence); `read_table` refuses other versions.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MissingError, SettingsError, nearest
from ghostpad.base.files import atomic_path, new_path
from ghostpad.base.pad import BUTTONS, LAYOUT, PAD_DIM, PRESSED, SLOTS, STICKS, check_layout, check_shape
from ghostpad.base.places import AnyPlace

_TEXT, _F32, _F64, _I64 = pa.string(), pa.float32(), pa.float64(), pa.int64()

Status = Literal["ok", "missing", "broken"]
"""Status of a video: present, known but not here (not fetched, or gone; the reason says which), or unreadable."""


@dataclass(frozen=True, slots=True)
class Video:
    """One row of the table of videos: the table's columns are these fields, in this order. None is unknown."""

    id: str
    path: str = ""  # of its file, relative to the corpus folder; "" stands for videos/<id>.mp4
    game: str | None = None
    level: str | None = None
    player: str | None = None
    source: str | None = None  # "recorded by ghostpad", "added", a site or a dataset
    url: str | None = None
    sha256: str | None = None
    fps: str | None = None  # frames a second, exact: "35/2"
    frames: int | None = None
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    seed: int | None = None  # the episode's; None for footage that ghostpad did not record
    return_: float | None = None  # sum of the rewards that the video shows
    licence: str | None = None
    labels: str | None = None  # NitroGen's "raw" or "processed"; None where the recorded rows are not from there
    overlay_px: tuple[float, float, float, float] | None = None  # x, y, width, height of a drawn controller; None for none
    overlay_of_px: tuple[int, int] | None = None  # width, height of the picture that it was measured in; None for the video's own
    overlay_by: str | None = None  # "hand" where `corpus set-mask` gave or removed the box: labels do not change it
    lag_ms: float | None = None  # how much later the picture shows what the recorded rows say
    lag_confidence: float | None = None  # 0...1; None where the lag was not measured
    status: Status = "ok"
    reason: str | None = None  # why it is not ok
    attempts: int = 0  # how often a command tried to bring its footage in and failed, since it was last ok
    size_bytes: int | None = None  # of its file: a file of another size is not the one that was added

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path or f"videos/{self.id}.mp4")

    @property
    def minutes(self) -> float:
        """Its length; 0 where it is not known."""
        return (self.duration_s or 0.0) / 60

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> "Video":
        """A video from columns by name, as Arrow and JSON give them. Raises `SettingsError`, listing every unknown name."""
        if problems := [f"no video column called '{name}': {nearest(name, VIDEOS.names)}" for name in columns if name not in VIDEOS.names]:
            raise SettingsError(problems)
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in columns.items()}
        return cls(**values)

    def columns(self) -> dict[str, Any]:
        """Its columns by name."""
        return {name: getattr(self, name) for name in VIDEOS.names}


_VIDEO_TYPES: Mapping[Any, pa.DataType] = {
    str: _TEXT, Status: _TEXT, str | None: _TEXT, int: _I64, int | None: _I64, float | None: _F64,
    tuple[float, float, float, float] | None: pa.list_(_F64), tuple[int, int] | None: pa.list_(_I64),
}  # fmt: skip

VIDEOS = pa.schema(
    [pa.field(name, _VIDEO_TYPES[hint], nullable=type(None) in get_args(hint)) for name, hint in get_type_hints(Video).items()]
)
"""Columns of the table of videos: the fields of `Video`."""

ACTIONS = pa.schema(
    [pa.field("pts_s", _F64, nullable=False)]
    + [pa.field(name, pa.bool_()) for name in BUTTONS]
    + [pa.field(name, _F32) for name in STICKS]
    + [pa.field("chunk", _I64)]  # the dataset's number of the chunk that a row came in, null where there are no chunks
)
"""Columns of recorded rows: null is unknown."""

LABELS = pa.schema(
    [pa.field("pts_s", _F64, nullable=False)]
    + [pa.field(name, _F32) for name in SLOTS]  # probability for a button, mean for a stick; null where the IDM has no head
    + [pa.field(f"{name}_spread", _F32) for name in STICKS]  # standard deviation of the predicted stick, stick units
    + [pa.field("confidence", _F32, nullable=False)]  # 0...1, see ghostpad.idm.confidence
)
"""Columns of an IDM's pseudo-labels: probabilities and means as predicted, never thresholded."""

VERDICTS = pa.schema(
    [
        pa.field("video", _TEXT, nullable=False),
        pa.field("first_row", _I64, nullable=False),
        pa.field("last_row", _I64, nullable=False),  # inclusive
        pa.field("duration_s", _F64, nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("reason", _TEXT, nullable=False),  # "kept", the filter that dropped it, or "broken"
    ]
)
"""Columns of a filter's verdicts: stretches of rows in order, which cover each video once."""

CHUNKS = pa.schema(
    [
        pa.field("video", _TEXT),  # null where an archive is damaged and the video of a lost chunk is unknown
        pa.field("chunk", _I64),  # the dataset's number
        pa.field("shard", _TEXT, nullable=False),  # the archive or folder it came in
        pa.field("status", _TEXT, nullable=False),  # "ok" or "broken"
        pa.field("reason", _TEXT),  # why it is broken
        pa.field("note", _TEXT),  # a discrepancy that leaves the chunk usable
        pa.field("game", _TEXT),  # lower snake case; null where the dataset names none
        pa.field("game_label", _TEXT),  # as the dataset spells it
        pa.field("controller", _TEXT),
        pa.field("source", _TEXT),  # the site
        pa.field("url", _TEXT),
        pa.field("start_s", _F64),  # in the original video
        pa.field("duration_s", _F64),
        pa.field("rows", _I64),
        pa.field("rate", _TEXT),  # exact rows a second, e.g. "599/10"
        pa.field("start_frame", _I64),
        pa.field("end_frame", _I64),  # inclusive
        pa.field("width_px", _I64),  # of the picture that the boxes were measured in
        pa.field("height_px", _I64),
        pa.field("overlay_px", pa.list_(_F64)),  # x, y, width, height of the controller drawn into the picture
        pa.field("game_area_px", pa.list_(_F64)),  # x, y, width, height of the game in the picture
    ]
)
"""Columns of the chunks that a dataset's labels came in."""

FAILURES = pa.schema(
    [
        pa.field("key", _TEXT, nullable=False),  # "<task> <video>"
        pa.field("reason", _TEXT),  # why it failed the last time; null where it has been done since
        pa.field("attempts", _I64, nullable=False),  # how often it failed
        pa.field("sha256", _TEXT),  # of the footage that it failed on
        pa.field("passing", pa.bool_(), nullable=False),  # whether it is no fault of the footage, so that every run tries it again
    ]
)
"""Columns of what could not be done to single videos; a task is a source of rows, such as "idm-<fingerprint>"."""

DOWNLOADS = pa.schema(
    [
        pa.field("video", _TEXT, nullable=False),
        pa.field("site", _TEXT, nullable=False),  # "youtube", "twitch", another host, or "unknown"
        pa.field("url", _TEXT, nullable=False),
        pa.field("first", _TEXT, nullable=False),  # when it was asked for first and last: ISO, UTC
        pa.field("date", _TEXT, nullable=False),
        pa.field("outcome", _TEXT, nullable=False),  # "ok", or one of ghostpad.corpus.fetch.errors.KINDS
        pa.field("words", _TEXT, nullable=False),  # the site's
        pa.field("tries", _I64, nullable=False),
        pa.field("part", _TEXT),  # "whole", "stretches", or null for a failure
        pa.field("size_bytes", _I64),  # of the file that came, null for a failure
    ]
)
"""Columns of the downloads: the last try of every video, with the number of its tries."""

FILES = pa.schema(
    [
        pa.field("key", _TEXT, nullable=False),  # of the place where it lies, see ghostpad.corpus.add.find
        pa.field("state", _TEXT),  # of its size and time of change; null where they were not known or it could not be read
        pa.field("path", _TEXT, nullable=False),
        pa.field("sha256", _TEXT),
        pa.field("outcome", _TEXT, nullable=False),  # see ghostpad.corpus.add.files
        pa.field("id", _TEXT, nullable=False),  # of the video that it became or that the corpus had
        pa.field("reason", _TEXT),  # why it is broken
        pa.field("attempts", _I64, nullable=False),  # how often it was read and was broken, since it last was not
        pa.field("read_at", _TEXT, nullable=False),  # when it was read last, such as 2026-11-30T12:00:00Z
    ]
)
"""Columns of the files that were read to be added."""

PRINTS = pa.schema([pa.field("id", _TEXT, nullable=False), pa.field("sha256", _TEXT), pa.field("codes", pa.binary(), nullable=False)])
"""Columns of the codes by which like pictures are found (ghostpad.corpus.add.similar), with the hash of the footage they are of."""

SCHEMAS: Mapping[str, pa.Schema] = {
    "videos": VIDEOS, "actions": ACTIONS, "labels": LABELS, "chunks": CHUNKS, "verdicts": VERDICTS, "failures": FAILURES,
    "downloads": DOWNLOADS, "files": FILES, "prints": PRINTS,
}  # fmt: skip
"""Every table kind and its columns."""

VERSIONS: Mapping[str, int] = dict.fromkeys(SCHEMAS, 1) | {"videos": 3, "actions": 2}
"""Version of each schema above; it is part of every file."""


_ADDED: Mapping[str, Mapping[str, Any]] = {"videos/2": {"overlay_by": None, "attempts": 0, "size_bytes": None}}
"""Older versions that are read too, with the columns that came later and what they hold."""


def write_table(
    path: AnyPlace, table: pa.Table | Iterable[pa.Table], kind: str, facts: Mapping[str, str] | None = None, *, new: bool = False
) -> None:
    """Write a table of `kind` atomically, with its version, pad layout and `facts` as metadata; one that comes in parts is never whole in
    memory. Raises `FormatError` for other columns than the kind's, and with `new` `FileExistsError` if the file is there by then.
    """
    metadata = {f"ghostpad.{key}": value for key, value in (facts or {}).items()}
    metadata |= {"ghostpad.table": f"{kind}/{VERSIONS[kind]}", "ghostpad.layout": LAYOUT}
    schema = SCHEMAS[kind].with_metadata(metadata)
    with (
        (new_path if new else atomic_path)(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True, **_stamps(schema.names)) as writer,
    ):
        for part in [table] if isinstance(table, pa.Table) else table:
            writer.write_table(_fitted(path, part, kind))


def read_table(path: AnyPlace, kind: str) -> pa.Table:
    """Read a table of `kind`.

    Raises `MissingError` if it is not there and `FormatError` if it is broken, of another kind, version or pad layout.
    """
    try:
        with open(path, "rb") if isinstance(path, str | os.PathLike) else path.open("rb") as file:
            body = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} does not exist") from None
    try:
        table = pq.read_table(pa.BufferReader(body), page_checksum_verification=True)
        table.validate(full=True)
    except (OSError, pa.ArrowException, ValueError) as error:  # Arrow raises an OSError for some damage
        raise _not_parquet(path, error) from None
    return as_kind(path, table, kind)


def _stamps(names: Sequence[str]) -> dict[str, Any]:
    """Options of parquet for time stamps, of which no two are equal: 60,000 rows take 243 KB and 12.4 ms, with a dictionary 413 KB and
    15.9 ms (measured)."""
    if "pts_s" not in names:
        return {}
    return {"use_dictionary": [name for name in names if name != "pts_s"], "column_encoding": {"pts_s": "BYTE_STREAM_SPLIT"}}


def ends_whole(path: AnyPlace) -> bool:
    """Whether a file is there and ends as a parquet file does whose footer fits in it: a quick look for one that was lost or cut off."""
    try:
        with open(path, "rb") if isinstance(path, str | os.PathLike) else path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8))
            length, mark = file.read(4), file.read(4)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return mark == b"PAR1" and int.from_bytes(length, "little") + 12 <= size


def scan_table(path: AnyPlace, kind: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """These columns of a file of `kind`, in tables of some thousand rows; their values are not checked. Raises as `read_table`."""
    try:
        with open(path, "rb") if isinstance(path, str | os.PathLike) else path.open("rb") as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            as_kind(path, file.schema_arrow.empty_table(), kind)
            schema = pa.schema([SCHEMAS[kind].field(name) for name in columns])
            for batch in file.iter_batches(columns=list(columns), use_threads=False):
                yield pa.Table.from_batches([batch]).select(columns).cast(schema)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} does not exist") from None
    except (pa.ArrowException, ValueError) as error:
        raise _not_parquet(path, error) from None


def read_facts(path: AnyPlace, kind: str) -> dict[str, str]:
    """The facts of a file of `kind`, without its rows. Raises as `read_table`."""
    try:
        with open(path, "rb") if isinstance(path, str | os.PathLike) else path.open("rb") as source:
            return table_facts(as_kind(path, pq.read_schema(source).empty_table(), kind))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} does not exist") from None
    except (pa.ArrowException, ValueError) as error:
        raise _not_parquet(path, error) from None


def as_kind(path: AnyPlace, table: pa.Table, kind: str) -> pa.Table:
    """The table as one of `kind`, of an older version too. Raises `FormatError`, naming `path`, for another kind, version or pad layout."""
    facts = table_facts(table)
    held = str(facts.get("table"))
    if held != f"{kind}/{VERSIONS[kind]}" and not (held in _ADDED and held.startswith(f"{kind}/")):
        raise FormatError(f"{path} holds '{held}', expected '{kind}/{VERSIONS[kind]}'")
    check_layout(facts.get("layout"), str(path))
    metadata = table.schema.metadata
    for name, value in _ADDED.get(held, {}).items():
        field = SCHEMAS[kind].field(name)
        table = table.append_column(field, pa.repeat(pa.scalar(value, field.type), table.num_rows))
    table = _fitted(path, table, kind)
    if kind in ("actions", "labels"):
        _check_rows(path, table)
    return table.replace_schema_metadata(metadata)


def _not_parquet(path: AnyPlace, error: Exception) -> FormatError:
    return FormatError(f"{path} is damaged or no parquet file ({error}): remove it and re-run the command that wrote it")


def _check_rows(path: AnyPlace, table: pa.Table) -> None:
    """Raise `FormatError` for rows that do not ascend in time or hold a number that no pad has: another program may have written them."""
    pts_s = table.column("pts_s").to_numpy()
    if not np.isfinite(pts_s).all() or (np.diff(pts_s) <= 0).any():
        raise FormatError(f"{path}: its time stamps (pts_s) do not ascend: sort its rows, each with a stamp of its own")
    for name in SLOTS:
        column = table.column(name)
        if pa.types.is_floating(column.type) and column.null_count < len(column):
            values = column.drop_null().to_numpy()
            least = -1 if name in STICKS else 0
            if not ((values >= least) & (values <= 1)).all():
                raise FormatError(f"{path}: a value of {name} is no number from {least} to 1: correct it, or leave it empty for unknown")


def _fitted(path: AnyPlace, table: pa.Table, kind: str) -> pa.Table:
    """The columns of the kind. Raises `FormatError` for a column that is absent, of another type, or null where it must not be."""
    try:
        return table.select(SCHEMAS[kind].names).cast(SCHEMAS[kind])
    except (KeyError, pa.ArrowException, ValueError) as error:
        raise FormatError(f"{path}: not a {kind} table ({error})") from None


def table_facts(table: pa.Table) -> dict[str, str]:
    """The facts a table carries in its metadata, without the `ghostpad.` prefix."""
    metadata = table.schema.metadata or {}
    return {key.decode()[9:]: value.decode() for key, value in metadata.items() if key.startswith(b"ghostpad.")}


def videos_table(videos: Iterable[Video]) -> pa.Table:
    """A `videos` table, by id. Raises `FormatError` for a value that does not fit its column."""
    try:
        return pa.Table.from_pylist([video.columns() for video in sorted(videos, key=lambda video: video.id)], schema=VIDEOS)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FormatError(f"a row does not fit the table of videos ({error})") from None


def actions_table(
    pts_s: NDArray[np.float64], pads: NDArray[np.float32], known: NDArray[np.bool_], chunks: NDArray[np.int64] | None = None
) -> pa.Table:
    """An `actions` table from time stamps [n], pads [n, 25], the mask of known slots [n, 25] or [25] and the rows' chunks [n]."""
    check_shape(pads)
    known = np.broadcast_to(known, pads.shape)
    columns = {"pts_s": pa.array(pts_s, _F64)}
    for index, name in enumerate(SLOTS):
        values = pads[:, index] >= PRESSED if name in BUTTONS else pads[:, index]
        columns[name] = pa.array(values, ACTIONS.field(name).type, mask=~known[:, index])
    columns["chunk"] = pa.nulls(len(pts_s), _I64) if chunks is None else pa.array(chunks, _I64)
    return pa.table(columns, schema=ACTIONS)


def labels_table(
    pts_s: NDArray[np.float64],
    pads: NDArray[np.float32],
    spreads: NDArray[np.float32],
    known: NDArray[np.bool_],
    confidence: NDArray[np.float32],
) -> pa.Table:
    """A `labels` table from time stamps [n], probabilities and means [n, 25], stick spreads [n, 4], the IDM's slots [25] and
    confidence [n]."""
    check_shape(pads)
    known = np.broadcast_to(known, pads.shape)
    columns = {"pts_s": pa.array(pts_s, _F64)}
    for index, name in enumerate(SLOTS):
        columns[name] = pa.array(pads[:, index], _F32, mask=~known[:, index])
    for index, name in enumerate(STICKS):
        columns[f"{name}_spread"] = pa.array(spreads[:, index], _F32, mask=~known[:, len(BUTTONS) + index])
    columns["confidence"] = pa.array(confidence, _F32)
    return pa.table(columns, schema=LABELS)


def pads_of(table: pa.Table) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pads float32 [n, 25] and known bool [n, 25] of an `actions` or `labels` table; unknown slots are 0 and False."""
    pads = np.zeros((table.num_rows, PAD_DIM), np.float32)
    known = np.zeros((table.num_rows, PAD_DIM), np.bool_)
    for index, name in enumerate(SLOTS):
        column = table.column(name).combine_chunks()
        known[:, index] = column.is_valid().to_numpy(zero_copy_only=False)
        pads[:, index] = column.cast(_F32).fill_null(0.0).to_numpy(zero_copy_only=False)
    return pads, known
