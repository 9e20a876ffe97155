"""Settings of the feed: what a batch is made of."""

from typing import Annotated, Literal

from pydantic import Field

from ghostpad.base.settings import Settings


class DataSettings(Settings):
    """What a batch is made of."""

    batch_size: int = Field(64, ge=1, description="windows a batch, over all processes")
    truth_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of a batch with recorded pads where labels exist too (0.1 against 0.02: measured in Doom)",
    )
    labels: str = Field("latest", description="label source for videos without recorded pads: 'idm-<fingerprint>', 'latest' or 'none'")
    verdicts: str = Field("default", description="filter verdicts applied to labelled rows, or 'none'")
    confidence_power: float = Field(1.0, ge=0, description="a labelled row weighs confidence to this power, 1 on average (0: all alike)")
    targets: Literal["soft", "hard"] = Field(
        "soft", description="what a labelled button teaches: its probability, or pressed or not, whichever is likelier"
    )
    idle_share: float | None = Field(
        None, ge=0, le=1, description="largest share of windows in which nothing is pressed or pushed (none: as they come)"
    )
    label_minutes: float | None = Field(
        None, gt=0, description="learn from this many minutes of labelled (or withheld) videos at most, the first by id (none: all of them)"
    )
    shuffle_seed: int | None = Field(
        None,
        ge=0,
        description="control: labels lie under other moments of their video, drawn from this seed (none: where they belong)",
    )
    validation_share: float = Field(
        0.0, ge=0, lt=1, description="share of the videos with recorded pads kept out of training, whole videos"
    )
    reencode_crf: tuple[Annotated[int, Field(ge=0, le=51)], ...] = Field(
        (), description="training footage with recorded pads comes once more at each of these x264 qualities (0...51), e.g. [32]"
    )
    workers: int = Field(0, ge=0, description="processes that read windows ahead (0: this process)")
