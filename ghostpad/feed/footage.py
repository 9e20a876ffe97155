"""Footage: one video's kept frames with the rows a model may learn from, recorded or pseudo-labels.

Rows are found by time stamp: the pad at a kept frame is the row in force at its pts, whatever the rate at which frames are kept.
Recorded rows are first moved by the lag of their video (`ghostpad corpus align`; unknown counts as none). A video that cannot be read is
left out and reported, never replaced; the corpus stays as it is.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError, MissingError
from ghostpad.base.pad import BUTTONS, PAD_DIM, PRESSED
from ghostpad.base.places import newest_s
from ghostpad.base.progress import progress
from ghostpad.base.records import VERDICTS, pads_of
from ghostpad.corpus.folder import RECORDED, Corpus, truth_table, unreadable_lines
from ghostpad.corpus.lag.align import on_pictures
from ghostpad.feed.pictures import pictures
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.video.paint import Share


@dataclass(frozen=True)
class Rows:
    """A video's table of rows and the loss weight float32 [n, 25] of each number.

    recorded    whether the time stamps are the recording's own, to which the video's lag must be added; those of pseudo-labels and of
                withheld truth are the picture's
    """

    table: pa.Table
    weight: NDArray[np.float32]
    recorded: bool = False


RowsOf = Callable[[Corpus, str], Rows | None]
"""From a corpus and the id of a video: its rows, or None where it has none."""


@dataclass(frozen=True)
class Footage:
    """Frames uint8 [N, H, W, C] at pts_s [N]; pads and weight float32 [N-1, 25], one row between every two frames.

    game    the game's name, "" where unknown
    masks   the grey boxes over its pictures, as shares of width and height
    """

    video: str
    pts_s: NDArray[np.float64]
    frames: NDArray[np.uint8]
    pads: NDArray[np.float32]
    weight: NDArray[np.float32]
    game: str = ""
    masks: tuple[Share, ...] = ()


def truth_rows(corpus: Corpus, video: str) -> Rows | None:
    """The recorded rows of a video; every known number weighs 1."""
    table = corpus.actions(RECORDED, video)
    return None if table is None else Rows(table, pads_of(table)[1].astype(np.float32), recorded=True)


def withheld_rows(folder: Path) -> RowsOf:
    """Rows from a folder of withheld truth: for evaluation, and for the oracle that bounds what pseudo-labels can give."""

    def rows(corpus: Corpus, video: str) -> Rows | None:
        table = truth_table(folder, video)
        return None if table is None else Rows(table, pads_of(table)[1].astype(np.float32))

    return rows


def pseudo_label_rows(corpus: Corpus, source: str, settings: DataSettings) -> RowsOf:
    """Rows an IDM wrote (`source`), weighted by confidence (1 on average), with weight 0 where the verdicts drop them.

    A button teaches its probability, unless `settings.targets` is "hard". With an average below 1 the recorded share of a batch would
    weigh more than the setting says: in racing, 10 % of a novice's recorded pads beside pseudo-labels of weight 0.6 cost a third of the
    return (380 instead of 574, measured). Raises `FormatError` for verdicts on other rows.
    """
    dropped = {} if settings.verdicts == "none" else _dropped(corpus, settings.verdicts, source)

    def weights(table: pa.Table) -> NDArray[np.float32]:
        return np.asarray(table.column("confidence").to_numpy().astype(np.float32) ** settings.confidence_power)

    total, count = 0.0, 0
    for id in map(str, corpus.with_rows(source)):
        with suppress(FormatError):  # whoever asks for these rows is told
            if (table := corpus.actions(source, id)) is not None:
                total, count = total + float(weights(table).sum(dtype=np.float64)), count + table.num_rows
    average = max(1e-6, total / count) if count else 1.0

    def rows(corpus: Corpus, video: str) -> Rows | None:
        table = corpus.actions(source, video)
        if table is None:
            return None
        weight = pads_of(table)[1] * (weights(table) / average)[:, None]
        for first, last in dropped.get(video, ()):
            weight[first : last + 1] = 0
        if settings.targets == "hard":  # unknown buttons stay null
            pressed = {name: pc.greater_equal(table.column(name), PRESSED) for name in BUTTONS}
            table = _replaced(table, pressed)
        if settings.shuffle_seed is not None:
            table = shuffled(table, np.flatnonzero(weight.any(axis=1)), settings.shuffle_seed, video)
        return Rows(table, weight.astype(np.float32))

    return rows


def _dropped(corpus: Corpus, name: str, source: str) -> dict[str, NDArray[np.int64]]:
    """The first and last rows, int64 [n, 2], of the stretches that verdicts drop, by video. Raises `FormatError` as above."""
    parts = [VERDICTS.empty_table().select(["video", "first_row", "last_row"])]
    if (judged := corpus.verdict_facts(name).get("source")) != source:
        raise FormatError(
            f"the verdicts '{name}' of {corpus.root} judge {judged}, not {source}: run 'ghostpad filter {corpus.root} --labels {source}'"
        )
    for table in corpus.scan_verdicts(name, ["video", "first_row", "last_row", "keep"]):
        parts.append(table.filter(pc.invert(table.column("keep"))).drop_columns("keep"))
    table = pa.concat_tables(parts).sort_by("video")
    counts = table.group_by("video", use_threads=False).aggregate([([], "count_all")])
    stretches = np.stack([table.column(name).to_numpy() for name in ("first_row", "last_row")], axis=1)
    ends = np.cumsum(counts.column("count_all").to_numpy())[:-1]
    return dict(zip(counts.column("video").to_pylist(), np.split(stretches, ends), strict=True)) if table.num_rows else {}


def shuffled(table: pa.Table, rows: NDArray[np.intp], seed: int, video: str) -> pa.Table:
    """Pseudo-labels at other moments of their video: a control, as all that a policy cannot learn from them is when things were done.

    The pads of `rows` (those with a weight) are rolled by a quarter to three quarters of their number, drawn from `seed` and the id of
    the video. So each is used once, presses keep their number and length, and frames keep their weights.
    """
    chance = np.random.default_rng([seed, int(hashlib.sha256(video.encode()).hexdigest()[:16], 16)])
    shift = int(chance.integers(max(1, len(rows) // 4), max(2, 3 * len(rows) // 4 + 1)))
    order = np.arange(table.num_rows)
    order[rows] = np.roll(rows, shift)
    return _replaced(table.take(order), {name: table.column(name) for name in ("pts_s", "confidence")})


def _replaced(table: pa.Table, columns: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    """The table with other values in some columns, cast to the type that they have in it."""
    for name, column in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, column.cast(field.type))
    return table


def first_minutes(footage: Sequence[Footage], minutes: float | None) -> list[Footage]:
    """The first `minutes` of footage, of the last video only a part; all of it for None."""
    if minutes is None:
        return list(footage)
    kept: list[Footage] = []
    left_s = 60 * minutes
    for clip in footage:
        frames = int(np.searchsorted(clip.pts_s, clip.pts_s[0] + left_s, side="right"))
        if frames < 2:
            break
        pads, weight = clip.pads[: frames - 1], clip.weight[: frames - 1]
        kept.append(replace(clip, pts_s=clip.pts_s[:frames], frames=clip.frames[:frames], pads=pads, weight=weight))
        left_s -= float(kept[-1].pts_s[-1] - clip.pts_s[0])
    return kept


def label_source(corpus: Corpus, wanted: str) -> str | None:
    """The source of pseudo-labels that a setting names; None for 'none' or if there is no source.

    'latest' is the source one of whose files was written last: copying a corpus without its times of change may change it.
    """
    sources = [source for source in corpus.sources() if source != RECORDED]
    if wanted == "none" or (wanted == "latest" and not sources):
        return None
    if wanted == "latest":
        return sources[0] if len(sources) == 1 else max(sources, key=lambda source: newest_s(corpus.root / "actions" / source))
    if wanted not in sources:
        raise MissingError(f"{corpus.root} has no labels '{wanted}': run 'ghostpad label {corpus.root} --idm RUN'")
    return wanted


def load_footage(corpus: Corpus, videos: Sequence[str], rows_of: RowsOf, spec: WindowSpec, crf: int | None = None) -> list[Footage]:
    """The footage of those `videos` that have rows; one that is gone or cannot be decoded, or whose rows are no rows, is left out and
    reported on stderr.

    With `crf` the pictures are those of the video encoded once more at that quality (x264's 0...51).
    """
    footage, unreadable = [], dict[str, str]()
    with progress(f"read {corpus.root.name}", len(videos), "videos") as advance:
        for id, video in corpus.each_of(videos):
            try:
                rows = rows_of(corpus, id)
            except FormatError as error:
                rows, unreadable[id] = None, str(error)
            if video is not None and rows is not None:
                table = _on_pictures(rows.table, video.lag_ms) if rows.recorded else rows.table
                try:
                    shown = pictures(corpus, video, spec, crf)
                    clip = align(id, shown.pts_s, shown.frames, table, rows.weight, video.game or "")
                    footage.append(replace(clip, masks=shown.masks))
                except (MediaError, MissingError) as error:
                    unreadable[id] = str(error)
            advance(1)
    if unreadable:
        print("\n".join(unreadable_lines(corpus.root, unreadable)), file=sys.stderr)
    return [clip for clip in footage if len(clip.frames) >= 2]


def _on_pictures(table: pa.Table, lag_ms: float | None) -> pa.Table:
    """Recorded rows moved by their lag and half a row, so that each meets its nearest frame: a lag is no whole number of frames."""
    row_pts_s = table.column("pts_s").to_numpy()
    if lag_ms is None or len(row_pts_s) < 2:
        return table
    return on_pictures(table, lag_ms - 500 * float(np.min(np.diff(row_pts_s))))


def align(
    video: str, pts_s: NDArray[np.float64], frames: NDArray[np.uint8], table: pa.Table, weight: NDArray[np.float32], game: str = ""
) -> Footage:
    """Match the rows of `table` to kept frames: row j is the pad in force at frame j's pts; frames without one get weight 0.

    A frame more than 1.5 median row steps after its row is in a hole between a dataset's chunks and has none.
    """
    pads, _ = pads_of(table)
    row_pts_s = table.column("pts_s").to_numpy()
    steps_s = np.diff(row_pts_s) if len(row_pts_s) > 1 else np.ones(1)
    half_s, far_s = 0.5 * float(np.min(steps_s)), 1.5 * float(np.median(steps_s))
    at = np.searchsorted(row_pts_s, pts_s[:-1] + 1e-6, side="right") - 1
    inside = (at >= 0) & (pts_s[:-1] <= row_pts_s[-1] + half_s) if len(row_pts_s) else np.zeros(len(at), bool)
    inside[inside] &= pts_s[:-1][inside] - row_pts_s[at[inside]] < far_s
    aligned, weights = np.zeros((len(at), PAD_DIM), np.float32), np.zeros((len(at), PAD_DIM), np.float32)
    aligned[inside], weights[inside] = pads[at[inside]], weight[at[inside]]
    return Footage(video, pts_s, frames, aligned, weights, game)
