"""Why a download failed, in one word: the site's answer sorted into kinds, which decide whether it is tried again.

An HTTP status decides where there is one; else the message is searched for the words that yt-dlp's extractors use.
"""

import errno
import re
from typing import Any, NamedTuple

KINDS: dict[str, str] = {
    "dead": "the site no longer has it",
    "private": "private video",
    "geo-blocked": "not available in this country",
    "login": "the site wants a login, an age check or proof of a person: give --cookies",
    "refused": "the site refused without saying why (HTTP 403)",
    "live": "still live, or not begun",
    "format": "yt-dlp finds no video at this address",
    "not a video": "the file cannot be read as a video",
    "wrong length": "the file is not as long as it should be",
    "throttled": "the site asked for fewer requests (HTTP 429)",
    "server": "the site had an error of its own (HTTP 5xx)",
    "network": "the connection failed, stalled or was cut",
}
"""Every kind of failure and what it means."""

TRANSIENT = ("throttled", "server", "network")
"""Failures that may pass: tried again after a wait in this run, and in every later one."""

RETRIED_LATER = (*TRANSIENT, "live")
"""Kinds that are tried again in every later run."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ESTALE, errno.ENAMETOOLONG)

_WORDS = {
    "geo-blocked": r"geo.?restrict|not (made this video )?available (in|from) your (country|location)"
    r"|blocked it in your country|unavailable in your region",
    "private": r"private video|video is private|only available to members|members.only|subscriber",
    "login": r"sign in|log ?in|cookies|confirm your age|not a bot|age.restricted",
    "throttled": r"too many requests|rate.?limit|try again later|throttl",
    "dead": r"removed|deleted|no longer (available|exists)|does not exist|unavailable|terminated|not found|expired",
    "format": r"unsupported url|requested format|no video formats|unable to extract|is not a valid url|urls are disabled|no video",
    "network": r"timed? ?out|connection|reset|refused|resolve|bytes read|more expected|content too short|incomplete|ssl|network",
}

_OF_STATUS: dict[Any, str] = dict.fromkeys(range(500, 600), "server") | {
    401: "login", 403: "refused", 404: "dead", 410: "dead", 429: "throttled", 451: "geo-blocked"
}  # fmt: skip


class Failure(NamedTuple):
    """What went wrong: one of `KINDS`, the site's message on one line, and the wait in seconds it asked for (None: none)."""

    kind: str
    words: str
    wait_s: float | None = None


def disk_error(error: BaseException) -> OSError | None:
    """The error of the disk that an error of yt-dlp comes from: no site is to blame, and no other video will do better. None for others."""
    for cause in _causes(error):
        if isinstance(cause, OSError):
            file = isinstance(cause.filename, str) and not hasattr(cause, "url")  # sockets and urllib's errors name none
            damage = type(cause) is not OSError  # FFmpeg's errors are, and it says EIO of damaged footage too
            if cause.errno in _DISK or (file and cause.errno in (errno.EACCES, errno.EPERM)) or (cause.errno == errno.EIO and not damage):
                return cause
    return None


def failure_of(error: BaseException) -> Failure:
    """Sort an error of yt-dlp. What is not recognised counts as "network", which is tried again."""
    words = _without_id(re.sub(r"\x1b\[[\d;]*m|^ERROR: ", "", str(error)).strip().replace("\n", " "))[:300]
    for cause in _causes(error):
        if type(cause).__name__ == "GeoRestrictedError":
            return Failure("geo-blocked", words)
        if kind := _OF_STATUS.get(getattr(cause, "status", None)):
            headers = getattr(getattr(cause, "response", None), "headers", None) or {}
            asked = str(headers.get("Retry-After", ""))
            return Failure(kind, words, float(asked) if asked.isdigit() else None)
    for kind, pattern in _WORDS.items():
        if re.search(pattern, words, re.IGNORECASE):
            return Failure(kind, words)
    return Failure("network", words)


def _without_id(words: str) -> str:
    """The words of yt-dlp without its `[site] id: ` and the id, so that videos that failed for one reason are counted together."""
    named = re.match(r"\[[\w:+-]+\] ([\w.-]+): (.+)", words)
    return re.sub(rf" {re.escape(named[1])}\b", "", named[2]) if named else words


def _causes(error: BaseException) -> list[BaseException]:
    """An error and its causes, by Python's chain and by the two fields yt-dlp keeps."""
    causes = [error]
    for one in causes:  # grows while it is read
        info = getattr(one, "exc_info", None)
        inner = (info[1] if isinstance(info, tuple) else None, getattr(one, "cause", None), one.__cause__, one.__context__)
        causes += [cause for cause in inner if cause is not None and cause not in causes]
    return causes
