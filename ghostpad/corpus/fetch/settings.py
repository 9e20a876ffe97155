"""The settings of `ghostpad corpus fetch`. Numbers are guesses at what sites allow, except `per_site`: 14 downloads at a time from one
address were blocked (measured by others).
"""

import http.cookiejar
from pathlib import Path

from pydantic import ByteSize, Field, FilePath, field_validator, model_validator

from ghostpad.base.settings import Settings


class FetchSettings(Settings):
    """What to download and how fast. Rates are bytes a second: digits, or 500K, 2M, 1.5G."""

    max_height: int = Field(720, ge=1, description="pixels; more only where nothing smaller has the frame rate of the recorded rows")
    whole: bool = Field(False, description="the whole of every video, not only the stretches with recorded rows")
    most_share: float = Field(0.8, ge=0, le=1, description="share of a video's length: where stretches cover more, all of it is fetched")
    margin_s: float = Field(2.0, ge=0, description="footage before and after each stretch: the IDM needs 0.5 s, lags are at most 0.25 s")
    join_s: float = Field(20.0, ge=0, description="stretches with less than this between them are joined")
    workers: int = Field(4, ge=1, description="downloads at a time, over all sites")
    per_site: int = Field(2, ge=1, description="downloads at a time from one site")
    tries: int = Field(5, ge=1, description="of one video in one run, where the failure is transient")
    wait_s: float = Field(5.0, ge=0, description="before the second try; doubled for each further one, times a random 0.5 to 1.5")
    timeout_s: float = Field(30.0, gt=0, description="without a byte before a connection counts as stalled; min_rate is looked at over it")
    min_rate: ByteSize = Field(ByteSize(5000), ge=0, description="a connection below this counts as stalled (0: none does), e.g. 5K")
    rate_limit: ByteSize | None = Field(None, gt=0, description="limit of one download, e.g. 2M")
    cookies: FilePath | None = Field(None, description="your browser's cookies (Netscape format), for videos that need a login; only read")
    retry: str | None = Field(None, description="try again what failed for good with this in its reason, such as dead; all for any reason")

    @model_validator(mode="after")
    def _limit_above_least(self) -> "FetchSettings":
        if self.rate_limit is not None and self.rate_limit <= self.min_rate:
            raise ValueError(f"rate_limit is {self.rate_limit:d}: it must be more than min_rate, {self.min_rate:d} bytes a second")
        return self

    @field_validator("cookies")
    @classmethod
    def _are_cookies(cls, path: Path | None) -> Path | None:
        try:
            if path is not None:
                http.cookiejar.MozillaCookieJar(path).load(ignore_discard=True, ignore_expires=True)
        except (http.cookiejar.LoadError, UnicodeDecodeError, OSError):
            raise ValueError(f"{path} is not a file of cookies: export it in Netscape format ('# Netscape HTTP Cookie File')") from None
        return path
