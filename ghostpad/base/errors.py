"""The errors a user can meet, and the nearest-name helper their messages use.

    GhostpadError
    ├── SettingsError    a setting, name or option that cannot work; every problem is listed at once
    ├── MissingError     a corpus, run, file or table that is not there
    ├── MediaError       a video that cannot be read
    │   ├── NoMemoryError    ... for lack of memory, which another time or another limit may have
    │   └── NoRowsError      ... because nothing in it happens between two frames
    ├── FormatError      a table or checkpoint written in another format or pad layout
    ├── PlaceError       a disk or address that cannot be used: full, read-only, forbidden, unplugged
    └── TrainingError    training that cannot go on (a non-finite loss, no windows to learn from)

A message says what happened, to which file, and what to do next. The command line prints it in one line and exits with
`exit_code`; anything that is not a `GhostpadError` is a bug and keeps its traceback.
"""

from bisect import bisect
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class GhostpadError(Exception):
    """Base of every error that a user can cause and fix. `exit_code` is the exit status of the command line."""

    exit_code = 1


class SettingsError(GhostpadError):
    """One or more settings that cannot work. `problems` holds one sentence for each, so that all can be fixed at once."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class MissingError(GhostpadError):
    """Something the command needs is not on disk."""


class MediaError(GhostpadError):
    """A video file that cannot be opened, holds no pictures, or breaks off."""


class NoMemoryError(MediaError):
    """A video that needs more memory to be read than there is or than is allowed."""


class NoRowsError(MediaError):
    """A video, or a stretch of one, without two frames after each other."""


class FormatError(GhostpadError):
    """A table or checkpoint whose format version or pad layout is not the one this code writes."""


class PlaceError(GhostpadError):
    """A disk or address that cannot be read or written: full, read-only, forbidden, unplugged."""


class TrainingError(GhostpadError):
    """Training that cannot start or cannot go on."""


_COMPARED, _LISTED = 10_000, 30
"""Most names that are compared, which takes half a second, and most that are listed."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A clause that suggests the nearest of `names`, or lists them: `did you mean 'doom'?` / `choose from: a, b`.

    Of very many, only those next to it in the order of the alphabet are compared, and the first are listed.
    """
    known = sorted(names)
    first = max(0, bisect(known, name) - _COMPARED // 2)
    close = get_close_matches(name, known[first : first + _COMPARED], n=1, cutoff=0.5)
    others = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"did you mean '{close[0]}'?" if close else f"choose from: {', '.join(known[:_LISTED])}{others}"


def unknown(kind: str, name: str, names: Iterable[str]) -> SettingsError:
    """The error for a mistyped name, e.g. `no game called 'dom': did you mean 'doom'?`."""
    return SettingsError(f"no {kind} called '{name}': {nearest(name, names)}")
