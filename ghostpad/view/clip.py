"""Short videos with the pad drawn beside the picture: an IDM's pad beside the true one, or an agent's.

Reads a corpus and its rows, or an episode frame by frame; writes one H.264 mp4 that browsers play, whole or not at all.
About 60 frames a second on one core and 0.15 MB a second of clip (measured, Doom at 17.5 fps).
"""

import os
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.pad import PAD_DIM, Pad
from ghostpad.corpus.folder import Corpus
from ghostpad.games.spec import Frame, GameSpec
from ghostpad.measure.evaluate import match_video
from ghostpad.video.decode import decode_frames
from ghostpad.video.record import VideoRecorder, recordable_rate
from ghostpad.view.pad import PREDICTED, TRUTH
from ghostpad.view.plots import known_slots
from ghostpad.view.scene import Track, draw_scene

_CRF, _PRESET, _GOP = 30, "veryfast", 120  # x264: small enough to embed in a page, still crisp (by eye)
_TRACE_S = 3.0  # of the past, shown as lines


def idm_clip(
    corpus: Corpus, video: str, truth: Path | None, source: str, out: str | os.PathLike[str], *, start_s: float = 0.0, seconds: float = 10.0
) -> Path:
    """Write a clip of `video` from `start_s` on with the true pad and the one that `source` ("idm-...") predicts; returns `out`.

    The true rows are in the folder `truth`, or in the corpus itself if that is None. One frame of the clip is one row, shown as long
    as in the video. Raises `MissingError` without either kind of rows, `SettingsError` if the stretch holds no row.
    """
    about = corpus.video(video)
    rows = match_video(corpus, about, source, truth)
    if rows is None:
        missing = f"rows for {video} from {source}: run `ghostpad label`"
        if corpus.actions(source, video) is not None:
            missing = f"true rows for {video}: record it, or name its --truth folder"
        raise MissingError(f"there are no {missing}")
    fps, slots = recordable_rate(Fraction(about.fps or 1)), known_slots(rows)
    true_pads = np.where(rows.known, rows.truth, np.nan).astype(np.float32)
    first_s = None
    with VideoRecorder(out, fps, crf=_CRF, preset=_PRESET, gop=_GOP) as clip, corpus.footage(about) as path:
        for frame in decode_frames(path, start_s=start_s, end_s=start_s + seconds):
            at = int(np.abs(rows.clock_s - frame.pts_s).argmin()) if len(rows) else 0
            if not len(rows) or abs(rows.clock_s[at] - frame.pts_s) > 0.5 / fps:
                continue  # the last frame of a video has no row
            first_s = frame.pts_s if first_s is None else first_s
            shown = ((true_pads, "true pad", TRUTH), (rows.predicted, "read from the video", PREDICTED))
            tracks = [Track(label, _recent(pads, at, round(_TRACE_S * fps)), colour) for pads, label, colour in shown]
            clip.add(draw_scene(frame.image, tracks, slots=slots, title=about.level or about.game or video), frame.pts_s - first_s)
        if first_s is None:
            raise SettingsError(
                f"{video} has no pseudo-labelled frame between {start_s:g} s and {start_s + seconds:g} s: choose another stretch"
            )
    return Path(out)


def write_agent_clip(frames: Iterable[Frame], pads: Iterable[Pad], spec: GameSpec, out: str | os.PathLike[str]) -> Path:
    """Write an episode as a clip with the agent's pad, one frame of the clip per (frame, pad) pair; returns `out`.

    `frames` are uint8 [H, W, 3], `pads` float32 [25], the pad chosen for each frame; both may be iterators, and a last frame without a
    pad is left out. Raises `MediaError` if there is no pair.
    """
    count = round(_TRACE_S * spec.fps) + 1
    recent: deque[Pad] = deque([np.full(PAD_DIM, np.nan, np.float32)] * count, maxlen=count)
    with VideoRecorder(out, spec.fps, crf=_CRF, preset=_PRESET, gop=_GOP) as clip:
        for frame, pad in zip(frames, pads, strict=False):
            recent.append(pad.copy())
            clip.add(draw_scene(frame, [Track("agent", np.stack(recent), PREDICTED)], slots=spec.slots, title=spec.title))
    return Path(out)


def _recent(pads: NDArray[np.float32], index: int, count: int) -> NDArray[np.float32]:
    """The `count` rows before `index` and that one, NaN where the video had not begun."""
    rows = pads[max(0, index - count) : index + 1]
    return np.concatenate([np.full((count + 1 - len(rows), PAD_DIM), np.nan, np.float32), rows])
