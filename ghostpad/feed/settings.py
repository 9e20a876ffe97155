"""Settings of the feed: what a batch is made of."""

from typing import Annotated, Literal

from pydantic import Field

from ghostpad.base.settings import Settings


class DataSettings(Settings):
    """What a batch is made of."""

    batch_size: int = Field(64, ge=1, description="windows a batch, over all processes")
    truth_share: float = Field(
        0.1, ge=0, le=1, description="share of a batch with recorded pads beside pseudo-labels (0.1 better than 0.02: measured in Doom)"
    )
    labels: str = Field("latest", description="pseudo-labels for videos without recorded pads: 'idm-<fingerprint>', 'latest' or 'none'")
    verdicts: str = Field("default", description="filter verdicts applied to pseudo-labels, or 'none'")
    confidence_power: float = Field(1.0, ge=0, description="a pseudo-label weighs confidence to this power, 1 on average (0: all the same)")
    targets: Literal["soft", "hard"] = Field(
        "soft", description="target of a pseudo-labelled button: its probability, or pressed or not, whichever is likelier"
    )
    idle_share: float | None = Field(
        None, ge=0, le=1, description="largest share of windows in which nothing is pressed or moved (none: as they come)"
    )
    label_minutes: float | None = Field(
        None, gt=0, description="most minutes of videos with pseudo-labels or withheld truth to learn from, the first by id (none: all)"
    )
    shuffle_seed: int | None = Field(
        None, ge=0, description="control: pseudo-labels moved to other moments of their video, drawn from this seed (none: not moved)"
    )
    validation_share: float = Field(0.0, ge=0, lt=1, description="share of the videos with recorded pads that is held out of training")
    reencode_crf: tuple[Annotated[int, Field(ge=0, le=51)], ...] = Field(
        (), description="learn from footage with recorded pads once more at each of these x264 qualities (0...51), e.g. [32]"
    )
    workers: int | None = Field(
        None, ge=0, description="processes that read and decode windows ahead (0: this process; none: up to 4 for segments, 0 for arrays)"
    )
    pictures: Literal["auto", "segments", "arrays"] = Field(
        "auto", description="where frames come from: segments made by 'ghostpad corpus proxy' where there are some, or arrays in the cache"
    )
    together: int = Field(
        4, ge=1, description="windows that a batch takes from one segment, which is decoded once for them (docs/training.md)"
    )
    evenly: tuple[Literal["game", "video"], ...] = Field(
        (), description="what comes equally often in a batch, whatever footage there is of each: 'game', 'video' or both (none: windows)"
    )
    cache_gb: float = Field(20.0, gt=0, description="most disk for parts of segments at an address, per corpus and machine")
