"""Short videos with the pad drawn beside the picture: what an IDM read beside the truth, and what an agent did.

Reads a corpus and its rows, or an episode handed over frame by frame; writes one H.264 mp4 that browsers play, whole or not
at all. About 60 frames a second on one core and 0.15 MB a second of clip (measured, Doom at 17.5 fps).
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.pad import PAD_DIM, SLOTS, Pad
from ghostpad.base.records import pads_of
from ghostpad.corpus.folder import RECORDED, Corpus, truth_table
from ghostpad.games.spec import Frame, GameSpec
from ghostpad.video.decode import decode_frames
from ghostpad.video.record import VideoRecorder
from ghostpad.view.scene import TRACE_S, draw_pad, side_by_side

_CRF, _PRESET, _GOP = 30, "veryfast", 120  # x264: small enough to lie inside a page, still crisp (by eye)


def idm_clip(
    corpus: Corpus,
    video: str,
    truth: str | os.PathLike[str] | None,
    source: str,
    out: str | os.PathLike[str],
    *,
    start_s: float = 0.0,
    seconds: float = 10.0,
    title: str | None = None,
) -> Path:
    """Write a clip of `video` from `start_s` on with the true pad and the one that `source` ("idm-...") predicts; returns `out`.

    The truth lies in the folder `truth`, or in the corpus itself if that is None. One frame of the clip is one row, shown as long
    as in the video. Raises `MissingError` without either kind of rows, `SettingsError` if the stretch holds no row.
    """
    about = corpus.video(video)
    true_pts, true_pads, known = _rows(truth_rows(corpus, video, truth), f"true rows for {video}: record it, or name its --truth folder")
    pts, pads, _ = _rows(corpus.actions(source, video), f"rows for {video} from {source}: run `ghostpad label`")
    slots = [name for index, name in enumerate(SLOTS) if known[:, index].any()]
    true_pads = np.where(known, true_pads, np.nan).astype(np.float32)
    fps = Fraction(about.fps or 1)
    past = round(TRACE_S * fps)
    with VideoRecorder(out, fps, crf=_CRF, preset=_PRESET, gop=_GOP) as clip:
        first_s = None
        for frame in decode_frames(corpus.path_of(about), start_s=start_s, end_s=start_s + seconds):
            true_index, index = _index(true_pts, frame.pts_s, fps), _index(pts, frame.pts_s, fps)
            if true_index is None or index is None:
                continue  # the last frame of a video has no row
            first_s = frame.pts_s if first_s is None else first_s
            drawn = side_by_side(
                frame.image,
                true_pads[true_index],
                pads[index],
                title=about.level or about.game or video if title is None else title,
                slots=slots,
                past=(_past(true_pads, true_index, past), _past(pads, index, past)),
            )
            clip.add(drawn, frame.pts_s - first_s)
        if first_s is None:
            raise SettingsError(
                f"{video} has no pseudo-labelled frame between {start_s:g} s and {start_s + seconds:g} s: choose another stretch"
            )
    return Path(out)


def write_agent_clip(
    frames: Iterable[Frame], pads: Iterable[Pad], spec: GameSpec, out: str | os.PathLike[str], *, title: str | None = None
) -> Path:
    """Write an episode as a clip with the agent's pad, one frame of the clip per (frame, pad) pair; returns `out`.

    `frames` are uint8 [H, W, 3], `pads` float32 [25], the pad chosen for each frame; both may be iterators, and a last frame without a
    pad is left out. Raises `MediaError` if there is no pair.
    """
    before: deque[Pad] = deque([np.full(PAD_DIM, np.nan, np.float32)] * round(TRACE_S * spec.fps), maxlen=round(TRACE_S * spec.fps))
    with VideoRecorder(out, spec.fps, crf=_CRF, preset=_PRESET, gop=_GOP) as clip:
        for frame, pad in zip(frames, pads, strict=False):
            clip.add(draw_pad(frame, pad, title=spec.title if title is None else title, slots=spec.slots, past=np.stack(before)))
            before.append(pad.copy())
    return Path(out)


def truth_rows(corpus: Corpus, video: str, truth: str | os.PathLike[str] | None) -> pa.Table | None:
    """The true rows of a video from the folder `truth`, or from the corpus itself if that is None; None if there are none."""
    return corpus.actions(RECORDED, video) if truth is None else truth_table(truth, video)


def compared_videos(corpus: Corpus, truth: str | os.PathLike[str] | None, source: str) -> Iterator[str]:
    """The ids of the videos that have both true rows and rows from `source`, in order."""
    return (id for id in corpus.ok_ids() if corpus.actions_path(source, id).exists() and truth_rows(corpus, id, truth) is not None)


def _rows(table: pa.Table | None, missing: str) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]]:
    """Time stamps [n], pads [n, 25] and what of them is known [n, 25]."""
    if table is None or not table.num_rows:
        raise MissingError(f"there are no {missing}")
    pads, known = pads_of(table)
    return table.column("pts_s").to_numpy(), pads, known


def _index(pts_s: NDArray[np.float64], at_s: float, fps: Fraction) -> int | None:
    """The row whose frame is shown at `at_s`, to half a frame; None if there is none."""
    nearest = int(np.abs(pts_s - at_s).argmin())
    return nearest if abs(pts_s[nearest] - at_s) <= 0.5 / fps else None


def _past(pads: NDArray[np.float32], index: int, count: int) -> NDArray[np.float32]:
    """The `count` rows before `index`, NaN where the video had not begun."""
    rows = pads[max(0, index - count) : index]
    return np.concatenate([np.full((count - len(rows), PAD_DIM), np.nan, np.float32), rows])
