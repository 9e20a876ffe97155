"""What could not be done to single videos: one row a task and video in `<corpus>/failures`, with the reason and the number of attempts.

A failure that lies in the footage is not tried again while the footage stays the same, unless `--retry` names its reason; any other is
tried again by every run: a disk that was away, or gave other bytes than those that the video's row names.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

from ghostpad.base.errors import MediaError, MissingError, NoMemoryError, SettingsError, nearest
from ghostpad.base.files import file_sha256
from ghostpad.base.places import place_errors
from ghostpad.base.records import FAILURES, Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.table import Table

EVERY = "all"
"""The word for every reason."""


@dataclass(frozen=True)
class Failure:
    """Why a task failed on a video, how often, on which footage (its sha256), and whether the footage is not to blame."""

    reason: str
    attempts: int
    sha256: str | None
    passing: bool


class Failures:
    """The failures of one task, such as a source of rows."""

    def __init__(self, corpus: Corpus, task: str):
        self._corpus, self._table, self._task = corpus, Table(corpus.root / "failures", "failures"), task

    def known(self) -> dict[str, Failure]:
        """The videos on which the task failed the last time, by id."""
        failures = {}
        for table in self._table.scan():
            for row in table.to_pylist():
                task, _, video = row["key"].partition(" ")
                if task == self._task and row["reason"] is not None:
                    failures[video] = Failure(row["reason"], row["attempts"], row["sha256"], row["passing"])
        return failures

    def note(self, video: Video, error: Exception) -> None:
        """The task has failed on a video, whose file is read once to see whether that may be its fault."""
        passing = not isinstance(error, MediaError) or isinstance(error, NoMemoryError) or not self._is_whole(video)
        self._write(video, str(error), passing)

    def clear(self, video: Video) -> None:
        """The task has been done on a video on which it had failed."""
        self._write(video, None, False)

    def _is_whole(self, video: Video) -> bool:
        """Whether the disk gives a video's file to its end, with the bytes that its row names, if it names any."""
        try:
            with self._corpus.footage(video) as path:
                return video.sha256 in (None, file_sha256(path))
        except MissingError:
            return False
        except place_errors():
            return False

    def _write(self, video: Video, reason: str | None, passing: bool) -> None:
        key = f"{self._task} {video.id}"

        def rows() -> pa.Table:
            before = sum(row["attempts"] for row in self._table.find([key]))
            row = {"key": key, "reason": reason, "attempts": before + (reason is not None), "sha256": video.sha256, "passing": passing}
            return pa.Table.from_pylist([row], schema=FAILURES)

        self._table.change(rows)


def retried(retry: str | None, reasons: Iterable[str]) -> Callable[[str], bool]:
    """Which reasons `--retry` asks for: those that contain its text in any case, all for "all", none without it.

    Raises `SettingsError`, with the nearest, for a text that is in none of the reasons.
    """
    known, wanted = set(reasons), (retry or "").lower()
    if retry is None:
        return lambda reason: False
    if wanted != EVERY and not any(wanted in reason.lower() for reason in known):
        raise SettingsError(f"nothing failed with the reason '{retry}': {nearest(retry, known) if known else 'nothing failed at all'}")
    return lambda reason: wanted == EVERY or wanted in reason.lower()
