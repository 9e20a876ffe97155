"""The page of `ghostpad lab study masks`: three frames of the same moment, and the measures of each IDM on each test.

Reads a frame of three test corpora; writes one self-contained HTML file and, beside it, the picture of the frames as a PNG. About a second.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ghostpad.base.files import atomic_path
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.lab.study.common import difference_words, figure_words, render_page
from ghostpad.video.decode import decode_frames
from ghostpad.view.page import jpeg
from ghostpad.view.scene import font

AT_S = 4.0
"""The moment that is shown, seconds into a game's first test video (a guess: the player is acting by then)."""

_WIDE, _GAP, _TITLE, _PAPER, _INK = 420, 12, 30, (16, 19, 26), (232, 236, 243)


def write_page(results: Mapping[str, Any], corpora: Mapping[str, Path], page: Path) -> Path:
    """Write the page of the `results` of `ghostpad.lab.study.masks.tables.collect`; `corpora` are the tests by what is seen."""
    picture = frames_picture(corpora)
    with atomic_path(page.with_suffix(".png")) as temporary:
        picture.save(temporary)
    return render_page(
        Path(__file__),
        page,
        title="study of masks",
        picture=jpeg(picture, 88),
        tests=list(corpora),
        figure=figure_words,
        difference=difference_words,
        **results,
    )


def frames_picture(corpora: Mapping[str, Path]) -> Image.Image:
    """A row of frames for each game: one moment as every corpus, by name, shows it to an IDM."""
    opened = [Corpus.open(path) for path in corpora.values()]
    games = sorted({video.game or "" for video in opened[0].list_videos()})
    rows = [[_frame(corpus, game) for corpus in opened] for game in games]
    sizes = [(_WIDE, round(_WIDE * row[0].shape[0] / row[0].shape[1])) for row in rows]
    width = len(corpora) * (_WIDE + _GAP) + _GAP
    image = Image.new("RGB", (width, _TITLE + _GAP + sum(high + _GAP for _, high in sizes)), _PAPER)
    draw, top = ImageDraw.Draw(image), _TITLE + _GAP
    for column, name in enumerate(corpora):
        draw.text((_GAP + column * (_WIDE + _GAP), 10), name, _INK, font(20))
    for row, size in zip(rows, sizes, strict=True):
        for column, frame in enumerate(row):
            shown = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
            image.paste(shown, (_GAP + column * (_WIDE + _GAP), top))
        top += size[1] + _GAP
    return image


def _frame(corpus: Corpus, game: str) -> NDArray[np.uint8]:
    video = next(video for video in corpus.each() if video.game == game)
    with corpus.footage(video) as path:
        for frame in decode_frames(path, mask=video_mask(video, path)):
            if frame.pts_s >= AT_S:
                break
    return frame.image  # the last one of a shorter video
