"""Reading footage in a child process with limits: a file that hangs, crashes or bloats the decoder costs that child, not its reader.

`VideoChild` has the functions of `ghostpad.video` as methods, with the same results. The child starts with the first call (0.2 s) and
serves many files. It decodes ahead of its reader by what a pipe of 1 MiB holds. It dies with its parent: the kernel kills it on Linux,
and elsewhere it ends when its input does.

Requests are lines of JSON. Answers are frames of bytes: the lengths of a JSON object and of raw bytes, then both. Each carries the
number of its request; a new request ends the one before, and what that one still sent is thrown away. Nothing is unpickled.
"""

import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

import numpy as np

from ghostpad.base.errors import GhostpadError, MediaError, MissingError, NoMemoryError, SettingsError
from ghostpad.base.processes import end_with_parent
from ghostpad.video.container import demux_stamps, open_video
from ghostpad.video.damage import Gap
from ghostpad.video.decode import Frame, decode_frames
from ghostpad.video.paint import Boxes
from ghostpad.video.probe import VideoInfo, probe_video, read_keyframes, video_size

_LENGTHS = struct.Struct("<II")
"""Before each answer: the number of bytes of its JSON and of its raw bytes."""

_PIPE_BYTES = 1 << 20
"""Size of the pipes; Linux allows every user this much."""

_START_S = 60.0
"""Seconds that a child may take to start, on a machine that does much else (a guess)."""

_OUT_OF_MEMORY = 77
"""Exit status of a child that may not have the memory it needs."""

_ALIVE_S = 1.0
"""How often the child says that it still reads, while it has nothing else to say."""

_ERRORS: dict[str, type[GhostpadError]] = {kind.__name__: kind for kind in (MediaError, MissingError, SettingsError)}


@dataclass(frozen=True)
class Limits:
    """What a child may use before it is ended: each default is a guess, far above what 1080p footage needs (0.08 GB, measured)."""

    memory_bytes: int = 4_000_000_000
    """Private memory, 1 or more (on Linux; elsewhere it is not limited). A child has taken 70 MB before it reads anything."""
    stall_s: float = 60.0
    """Seconds without a packet read or a frame decoded, above 0."""


class VideoChild:
    """Reads videos in one child process, which is replaced after a failure. For one thread at a time.

    Linux ends it with the thread that made the call by which it started; the next call then starts another. Every
    method raises as the function that it is named after, and `MediaError` if the child crashes or gives no answer for
    `limits.stall_s`, `NoMemoryError` if it needs more than `limits.memory_bytes`. Use it as a context manager, or `close` it.
    """

    def __init__(self, limits: Limits = Limits()):  # noqa: B008  (frozen)
        if limits.memory_bytes < 1 or not limits.stall_s > 0:
            raise SettingsError(f"{limits} cannot work: a child needs memory and time")
        self._limits, self._number = limits, 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "VideoChild":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The next call starts another."""
        if self._process:
            _end(self._process)
            self._process = None

    @property
    def pid(self) -> int | None:
        """The process id of the child, None if there is none."""
        return self._process.pid if self._process else None

    def probe(self, path: str | os.PathLike[str]) -> VideoInfo:
        """As `ghostpad.video.probe.probe_video`."""
        facts, _ = self._only(path, "probe")
        return VideoInfo(**facts | {"path": Path(path), "fps": Fraction(facts["fps"])})

    def size(self, path: str | os.PathLike[str]) -> tuple[int, int]:
        """As `ghostpad.video.probe.video_size`."""
        about, _ = self._only(path, "size")
        return about["width_px"], about["height_px"]

    def stamps(self, path: str | os.PathLike[str]) -> list[Fraction]:
        """As `ghostpad.video.probe.read_stamps`."""
        about, raw = self._only(path, "stamps")
        return [pts * Fraction(about["time_base"]) for pts in np.frombuffer(raw, np.int64).tolist()]

    def keyframes(self, path: str | os.PathLike[str]) -> list[Fraction]:
        """As `ghostpad.video.probe.read_keyframes`."""
        about, _ = self._only(path, "keyframes")
        return [Fraction(stamp) for stamp in about["stamps"]]

    def frames(
        self,
        path: str | os.PathLike[str],
        *,
        width_px: int | None = None,
        height_px: int | None = None,
        gray: bool = False,
        rate_hz: float | Fraction | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        mask: Boxes = (),
        gaps: list[Gap] | None = None,
    ) -> Iterator[Frame]:
        """As `ghostpad.video.decode.decode_frames`. Another call ends this iterator: asked again, it raises `RuntimeError`."""
        wanted = {
            "width_px": width_px,
            "height_px": height_px,
            "gray": gray,
            "rate_hz": str(rate_hz) if isinstance(rate_hz, Fraction) else rate_hz,
            "start_s": start_s,
            "end_s": end_s,
            "mask": [list(box) for box in mask],
            "gaps": gaps is not None,
        }
        answers = self._answers(path, "frames", wanted)
        next(answers)  # the settings are possible
        return self._frames(answers, gaps)

    def _frames(self, answers: Iterator[tuple[dict[str, Any], bytearray]], gaps: list[Gap] | None) -> Iterator[Frame]:
        for about, raw in answers:
            if "gap" in about and gaps is not None:
                gaps.append(Gap(**about["gap"]))
            elif "pts_s" in about:
                yield Frame(about["pts_s"], np.frombuffer(raw, np.uint8).reshape(about["shape"]))

    def _only(self, path: str | os.PathLike[str], name: str) -> tuple[dict[str, Any], bytearray]:
        """The one answer to a request."""
        (answer,) = self._answers(path, name, {})
        return answer

    def _answers(self, path: str | os.PathLike[str], name: str, wanted: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytearray]]:
        """Send a request at once, and return its answers."""
        self._number += 1
        request = {"number": self._number, "do": name, "path": os.fsdecode(path), "wanted": wanted}
        for _ in range(2):  # the child may have ended since the last call, which is not this file's fault
            self._process = self._process or _start(self._limits)
            assert self._process.stdin
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                while "begun" not in self._answer(path, max(_START_S, self._limits.stall_s))[0]:
                    pass
                return self._received(path, self._number)
            except (_Ended, BrokenPipeError):
                self.close()
        raise MediaError(f"{path} was not read: the child that should do it does not start")

    def _received(self, path: str | os.PathLike[str], number: int) -> Iterator[tuple[dict[str, Any], bytearray]]:
        while True:
            if number != self._number or self._process is None:
                raise RuntimeError(f"the frames of {path} were left for another request, or the child was closed")
            try:
                about, raw = self._answer(path, self._limits.stall_s)
            except _Ended:
                raise self._failed(path, self._process.wait()) from None
            if "end" in about:
                return
            if "error" in about:
                raise _ERRORS.get(about["error"], RuntimeError)(about["text"])
            if "alive" not in about:
                yield about, raw

    def _answer(self, path: str | os.PathLike[str], wait_s: float) -> tuple[dict[str, Any], bytearray]:
        """The next answer to the last request."""
        while True:
            about_bytes, raw_bytes = _LENGTHS.unpack(self._read(path, _LENGTHS.size, wait_s))
            about, raw = json.loads(self._read(path, about_bytes, wait_s)), self._read(path, raw_bytes, wait_s)
            if about.pop("number") == self._number:
                return about, raw

    def _read(self, path: str | os.PathLike[str], count: int, wait_s: float) -> bytearray:
        assert self._process and self._process.stdout
        into = bytearray(count)
        done, pipe = 0, self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while done < count:
            if not waiting.poll(1000 * wait_s):
                self.close()
                raise MediaError(f"{path}: the decoder gave no frame for {wait_s:g} s: fetch or record it again")
            if not (got := os.readv(pipe, [memoryview(into)[done:]])):
                raise _Ended
            done += got
        return into

    def _failed(self, path: str | os.PathLike[str], code: int) -> MediaError:
        """The error for a child that has ended with an exit status."""
        self.close()
        if code == _OUT_OF_MEMORY:
            return NoMemoryError(f"{path} needs more than {self._limits.memory_bytes / 1e9:.3g} GB of memory: allow more, or leave it out")
        how = f"crashed (signal {-code})" if code < 0 else f"ended (exit status {code})"
        return MediaError(f"{path}: the decoder {how}: fetch or record it again")


class _Ended(Exception):
    """The child has ended."""


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "ghostpad.video.child", str(os.getpid()), str(limits.memory_bytes)]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, pipesize=_PIPE_BYTES, env=os.environ | one_thread
    )
    weakref.finalize(process, process.kill)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe
        pipe.close()


class _Server:
    """The child's side: answers requests one after the other; a request that arrives ends the one before it."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]):
        self._answers, self._number, self._said_s = answers, 0, 0.0
        self._waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
        Thread(target=self._listen, args=(requests,), daemon=True).start()

    def serve(self) -> None:
        """Answer until the process is ended."""
        doing: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "probe": self._probe,
            "size": self._size,
            "stamps": self._stamps,
            "keyframes": self._keyframes,
            "frames": self._frames,
        }
        while True:
            request = self._waiting.get()
            self._number = request["number"]
            self._say({"begun": True})
            try:
                doing[request["do"]](request["path"], request["wanted"])
                self._say({"end": True})
            except _Left:
                pass
            except (MemoryError, NoMemoryError):
                os._exit(_OUT_OF_MEMORY)
            except GhostpadError as error:
                self._say({"error": type(error).__name__, "text": str(error)})
            except Exception:  # noqa: BLE001  (a bug: its traceback is raised in the parent)
                self._say({"error": "bug", "text": traceback.format_exc()})

    def _listen(self, requests: IO[bytes]) -> None:
        for line in requests:
            self._waiting.put(json.loads(line))
        os._exit(0)  # the parent is gone

    def _say(self, about: dict[str, Any], raw: bytes | memoryview = b"") -> None:
        text = json.dumps({"number": self._number} | about).encode()
        self._answers.write(_LENGTHS.pack(len(text), len(raw)) + text)
        self._answers.write(raw)
        self._answers.flush()
        self._said_s = time.monotonic()

    def _on_packet(self) -> None:
        if not self._waiting.empty():
            raise _Left
        if time.monotonic() - self._said_s > _ALIVE_S:
            self._say({"alive": True})

    def _probe(self, path: str, wanted: dict[str, Any]) -> None:
        facts = asdict(probe_video(path, self._on_packet))
        self._say(facts | {"path": None, "fps": str(facts["fps"])})

    def _size(self, path: str, wanted: dict[str, Any]) -> None:
        width_px, height_px = video_size(path)
        self._say({"width_px": width_px, "height_px": height_px})

    def _stamps(self, path: str, wanted: dict[str, Any]) -> None:
        with open_video(path) as (container, stream):
            pts, _ = demux_stamps(path, container, stream, self._on_packet)
            self._say({"time_base": str(stream.time_base)}, pts.data.cast("B"))

    def _keyframes(self, path: str, wanted: dict[str, Any]) -> None:
        self._say({"stamps": [str(stamp) for stamp in read_keyframes(path)]})

    def _frames(self, path: str, wanted: dict[str, Any]) -> None:
        rate_hz = wanted.pop("rate_hz")
        gaps: list[Gap] | None = [] if wanted.pop("gaps") else None
        frames = decode_frames(
            path, rate_hz=Fraction(rate_hz) if isinstance(rate_hz, str) else rate_hz, gaps=gaps, on_packet=self._on_packet, **wanted
        )
        self._say({"possible": True})
        for frame in frames:
            self._say_gaps(gaps)
            self._say({"pts_s": frame.pts_s, "shape": frame.image.shape}, frame.image.data.cast("B"))
        self._say_gaps(gaps)

    def _say_gaps(self, gaps: list[Gap] | None) -> None:
        while gaps:
            self._say({"gap": asdict(gaps.pop(0))})


class _Left(Exception):
    """The parent asks for something else."""


def _limit(parent: int, memory_bytes: int) -> None:
    """Bind this process to its parent's life and to its memory. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not get among the answers
        _Server(sys.stdin.buffer, answers).serve()
