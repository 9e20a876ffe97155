"""The settings of `ghostpad corpus fetch`. Numbers are guesses at what sites bear, but for `per_site`: 14 downloads at a time on one
address earned a block (measured by others).
"""

import http.cookiejar
from pathlib import Path

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.settings import Settings


class FetchSettings(Settings):
    """What to download and how fast."""

    max_height: int = 720
    whole: bool = False
    """Always the whole video; otherwise only the stretches with labels, where the site allows and they are few enough."""
    most_share: float = 0.8
    """Of a video's length: where stretches cover more of it, the whole video is fetched."""
    margin_s: float = 2.0
    """Of footage before and after each stretch: the IDM sees half a second, lags are at most a quarter."""
    join_s: float = 20.0
    """Stretches with less than this between them are one."""
    workers: int = 4
    per_site: int = 2
    tries: int = 5
    """Of one video in one run, where the failure passes."""
    wait_s: float = 5.0
    """Before the second try; doubled for each further one, times a random 0.5 to 1.5."""
    timeout_s: float = 30.0
    """Without a byte before a connection counts as stalled, and the time over which `min_rate` is looked at."""
    min_rate: float = 5000.0
    """Bytes a second, over any `timeout_s` of waiting for one answer; a connection below counts as stalled (0: none does)."""
    rate_limit: float | None = None
    """Bytes a second of one download."""
    cookies: Path | None = None
    """A file of cookies (Netscape format); it is read and never written."""
    retry_failed: bool = False
    """Try again what failed for good before."""

    def check(self) -> None:
        """Raise `SettingsError` for what cannot be, listing every problem, and `MissingError` without the file of cookies."""
        low = {name: getattr(self, name) for name in ("workers", "per_site", "tries", "max_height")}
        problems = [f"{name} is {value}: it must be 1 or more" for name, value in low.items() if value < 1]
        least = {name: getattr(self, name) for name in ("min_rate", "margin_s", "join_s", "wait_s")}
        problems += [f"{name} is {value}: it must be 0 or more" for name, value in least.items() if not value >= 0]
        if not self.timeout_s > 0:
            problems.append(f"timeout_s is {self.timeout_s}: it must be more than 0 seconds")
        if self.rate_limit is not None and not self.rate_limit > self.min_rate:
            problems.append(f"rate_limit is {self.rate_limit:g}: it must be more than min_rate, {self.min_rate:g} bytes a second")
        if self.cookies:
            if not self.cookies.is_file():
                raise MissingError(f"there is no file of cookies at {self.cookies}")
            try:
                http.cookiejar.MozillaCookieJar(self.cookies).load(ignore_discard=True, ignore_expires=True)
            except (http.cookiejar.LoadError, UnicodeDecodeError, OSError):
                problems.append(f"{self.cookies} is not a file of cookies: export it in Netscape format ('# Netscape HTTP Cookie File')")
        if problems:
            raise SettingsError(problems)
