"""Where training finds the frames of a video at a model's size: arrays that are decoded once into the corpus's cache.

Reads the video, in a child with limits; writes `<picture>/<video>.npy` in the cache: the frames, their time stamps, the masks over them,
and what they were made of, one array behind the other, in one pass that holds a few frames. They are made again when the video is another
file or its mask another box, and the cache may be deleted at any time. It trades disk for time: at 96x72 gray one hour of 20 Hz frames is
0.5 GB and a random window costs microseconds. For hundreds of hours there are segments (`ghostpad.feed.segments`), with the same functions.
"""

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError
from ghostpad.base.files import atomic_path, locked
from ghostpad.base.places import Place, file_mark
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import mask_shares, video_mask
from ghostpad.feed.footage import ArrayLike
from ghostpad.feed.ranges import Ranges
from ghostpad.feed.window import WindowSpec
from ghostpad.video.child import VideoChild
from ghostpad.video.decode import Frame
from ghostpad.video.paint import Boxes, Share
from ghostpad.video.proxy import make_proxy

_OWN_SIZE, _GOP = 1 << 20, 60
"""Short side of the copy, px: one never grows, so this keeps the video's size. Frames between keyframes, as in the recorder's videos."""

MOST_MAPPED = 64  # files that a process has mapped at once (each is one open file)


class Pictures(NamedTuple):
    """What is known of the pictures of a video: the stamps of its frames float64 [N] in seconds, the masks over them as shares of the
    picture, and the numbers int64 of its keyframes (None: every frame can be read by itself)."""

    pts_s: NDArray[np.float64]
    masks: tuple[Share, ...]
    keys: NDArray[np.int64] | None


class PictureStore(Protocol):
    """Where pictures come from; pickled, it begins anew without open files."""

    name: str
    ranges: Ranges

    @property
    def folder(self) -> Place:
        """What belongs to the pictures lies here."""

    def mark(self, video: Video) -> str:
        """A text that is another when the pictures are other ones; reads none. Raises `MissingError` where they cannot be had."""

    def has(self, video: Video) -> bool:
        """Whether the pictures of a video are there, as far as can be said without opening a file far away."""

    def pictures(self, video: Video) -> Pictures:
        """The pictures of a video, made if they can be. Raises `MediaError` and `MissingError`."""

    def opened(self, video: Video, count: int) -> tuple[ArrayLike, ArrayLike]:
        """The `count` time stamps and frames uint8 [N, H, W, C] of a video; reads no pictures yet. Raises as `mark`."""


class ArrayStore:
    """Decoded arrays in the corpus's cache, of the videos as they are or encoded once more at an x264 quality `crf`."""

    name = "arrays"

    def __init__(self, corpus: Corpus, spec: WindowSpec, ranges: Ranges, crf: int | None = None):
        self.folder: Path = corpus.cache / "-".join([spec.picture, *([] if crf is None else [f"crf{crf}"])])
        self.ranges, self._corpus, self._spec, self._crf = ranges, corpus, spec, crf
        self._mapped = OrderedDict[Path, tuple[str, NDArray[np.uint8]]]()
        self._child = VideoChild()

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayStore, (self._corpus, self._spec, self.ranges, self._crf)

    def mark(self, video: Video) -> str:
        """See `PictureStore`."""
        return repr((file_mark(self._corpus.path_of(video)), video.sha256, video.overlay_px, video.overlay_of_px))

    def has(self, video: Video) -> bool:
        """See `PictureStore`."""
        return _kept(self._path(video), self.mark(video)) is not None

    def pictures(self, video: Video) -> Pictures:
        """See `PictureStore`."""
        path, made_of = self._path(video), self.mark(video)
        if (kept := _kept(path, made_of)) is not None:
            return kept
        with locked(path.with_name(".lock")):  # of processes that want the same pictures, one decodes
            if (kept := _kept(path, made_of)) is not None:
                return kept
            with self._corpus.footage(video) as source:
                masks = video_mask(video, source, child=self._child)
                shares = mask_shares(video, source)
                with atomic_path(path, derived=True) as temporary:
                    _write(temporary, self._decoded(source, masks), source, shares, made_of)
            return _read(path)[0]

    def opened(self, video: Video, count: int) -> tuple[ArrayLike, ArrayLike]:
        """See `PictureStore`."""
        path = self._path(video)
        return _Stamps(path, count), _Frames(self, path, self.mark(video), count)

    def frames(self, path: Path, mark: str) -> NDArray[np.uint8]:
        """The frames of a file, mapped into memory. Raises `MediaError` where it is gone, damaged, or of other pictures."""
        if path in self._mapped and self._mapped[path][0] == mark:
            self._mapped.move_to_end(path)
            return self._mapped[path][1]
        try:
            _, made_of, frames = _read(path)
        except (OSError, EOFError, ValueError) as error:
            raise MediaError(f"{path} cannot be read ({error}): run the same command again, which makes it again") from None
        if made_of != mark:
            raise MediaError(f"{path} was made again of other footage meanwhile: run the same command again")
        self._mapped[path] = made_of, frames
        while len(self._mapped) > MOST_MAPPED:
            self._mapped.popitem(last=False)
        return frames

    def _path(self, video: Video) -> Path:
        return self.folder / f"{video.id}.npy"

    def _decoded(self, source: Path, mask: Boxes) -> Iterable[Frame]:
        spec = self._spec
        if self._crf is None:
            yield from spec.frames_of(source, self._child, mask)
            return
        with TemporaryDirectory(prefix="ghostpad-") as folder:
            copy = Path(folder) / "copy.mp4"
            make_proxy(source, copy, px=_OWN_SIZE, gop=_GOP, crf=self._crf, mask=mask)
            yield from spec.frames_of(copy, self._child, mask)


class _Frames:
    """The frames of a video in the cache, read like an array."""

    def __init__(self, store: ArrayStore, path: Path, mark: str, count: int):
        self._store, self._path, self._mark, self._count = store, path, mark, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        return self._store.frames(self._path, self._mark)[index]


class _Stamps:
    """The time stamps of the frames of a video in the cache, read like an array."""

    def __init__(self, path: Path, count: int):
        self._path, self._count = path, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return _read(self._path)[0].pts_s[index]


def _write(path: Path, frames: Iterable[Frame], source: Path, masks: tuple[Share, ...], made_of: str) -> None:
    """Write the frames as they come, then what is known of them."""
    pts_s = list[float]()
    with open(path, "w+b") as file:  # to a "wb" numpy writes past Python, and loses the error's number

        def head(shape: tuple[int, ...]) -> None:  # numpy leaves room in it for the first axis to grow
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})

        shape: tuple[int, ...] = ()
        for frame in frames:
            image = frame.image if frame.image.ndim == 3 else frame.image[..., None]
            if not shape:
                head((1, *(shape := image.shape)))
            file.write(image.data)
            pts_s.append(frame.pts_s)
        if not pts_s:
            raise MediaError(f"{source} has no frame: fetch or record it again")
        for array in (np.array(pts_s), np.array(masks).reshape(-1, 4), np.array(made_of)):
            np.save(file, array)
        head((len(pts_s), *shape))


def _read(path: Path) -> tuple[Pictures, str, NDArray[np.uint8]]:
    """The pictures of a file, what they were made of, and the frames. Raises `OSError`, `EOFError` or `ValueError` for one that is gone or
    damaged."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        begin = file.tell()
        frames = np.memmap(file, dtype, "r", begin, shape)
        file.seek(begin + frames.nbytes)
        pts_s, masks, made_of = (np.load(file) for _ in range(3))
    return Pictures(pts_s, tuple(map(tuple, masks.tolist())), None), str(made_of), frames


def _kept(path: Path, made_of: str) -> Pictures | None:
    try:
        kept, held, _ = _read(path)
    except (OSError, EOFError, ValueError):
        return None  # derived, and not there or damaged: it is made again
    return kept if held == made_of else None
