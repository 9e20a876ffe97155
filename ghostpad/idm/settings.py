"""Settings of the inverse dynamics model and of its training run (free of torch)."""

from typing import Literal

from pydantic import Field

from ghostpad.base.settings import Settings
from ghostpad.feed.settings import DataSettings
from ghostpad.train.settings import TrainSettings


class IdmSettings(Settings):
    """The inverse dynamics model."""

    variant: Literal["window", "pair", "frame"] = Field(
        "window", description="see neighbouring frames for about half a second each way, frames i and i+1 only, or frame i alone"
    )
    width_px: int = Field(128, ge=32, multiple_of=8, description="width of the frames it sees")
    height_px: int = Field(96, ge=32, multiple_of=8, description="height of the frames it sees")
    rate_hz: float | None = Field(None, gt=0, description="rate at which frames are kept (none: every frame)")
    search_x_px: int = Field(6, ge=1, le=16, description="largest sideways motion looked for, in pixels of the half-size picture")
    search_y_px: int = Field(2, ge=1, le=16, description="largest up and down motion looked for, likewise")
    motion: bool = Field(True, description="use the motion between neighbouring frames (never for 'frame')")
    appearance: bool = Field(True, description="use the pictures themselves besides their motion")
    encoder: Literal["conv", "siglip"] = Field("conv", description="encoder of the pictures: a small conv net, or SigLIP 2")
    siglip: str = Field("google/siglip2-base-patch16-256", description="name or folder of the SigLIP 2 weights")
    freeze_encoder: bool = Field(False, description="do not train the SigLIP encoder")
    dim: int = Field(96, ge=8, multiple_of=8, description="width of the model")
    heads: int = Field(4, ge=1, description="attention heads")
    layers: int = Field(1, ge=1, description="layers of local attention")
    attention_rows: int = Field(6, ge=1, description="rows each way that a layer of attention reaches")
    convolution_rows: int = Field(3, ge=1, description="rows each way that the temporal convolution reaches")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout (0.3: five minutes of labels are few; measured)")
    bins: int = Field(21, ge=3, description="bins of a stick axis over -1...1")
    mean_weight: float = Field(1.0, ge=0, description="weight of the error of the stick's mean beside the likelihood of its bins")
    bins_weight: float = Field(0.1, ge=0, description="weight of the likelihood of the stick's bins")
    event_weight: float = Field(0.5, ge=0, description="weight of where presses begin and end beside what is held (0: no heads for it)")
    binding: Literal["none", "game"] = Field("none", description="learn a vector for the controls of each game; others share one")
    binding_dropout: float = Field(0.3, ge=0, le=1, description="share of training clips whose game is hidden")
    clip_rows: int = Field(32, ge=2, description="rows of a training clip")
    mirror: bool = Field(True, description="train on mirrored footage too, pads mirrored: off for games where left and right differ")
    light: float = Field(0.2, ge=0, lt=1, description="training pictures change in brightness and contrast by up to this")
    shift_px: int = Field(0, ge=0, description="training clips are moved by up to this, each way")
    mask: float = Field(0.0, ge=0, le=1, description="share of training clips without a mask that get one, as other footage has")
    repeat: float = Field(0.0, ge=0, lt=1, description="share of frames of a training clip that repeat the frame before")
    rate_jitter: float = Field(0.0, ge=0, lt=0.5, description="training clips run faster or slower by up to this")


class IdmRun(Settings):
    """All settings of `ghostpad train idm`."""

    model: IdmSettings = IdmSettings()
    data: DataSettings = DataSettings(batch_size=16, validation_share=0.15, truth_share=0.5, labels="none", verdicts="none")
    train: TrainSettings = TrainSettings(steps=500, lr=3e-3)


class TuneSettings(Settings):
    """Which parts of an IDM learn when it starts from a finished one."""

    encoder: Literal["frozen", "trainable"] = Field(
        "frozen", description="whether the encoders of motion and pictures learn too; for a game that moves differently: trainable"
    )


CHANGEABLE = frozenset({
    "siglip", "freeze_encoder", "dropout", "mean_weight", "bins_weight", "binding_dropout", "clip_rows", "mirror", "light", "shift_px",
    "mask", "repeat", "rate_jitter",
})  # fmt: skip
"""Settings of the model that may change when an IDM starts from another: they say how it learns, not what its weights mean."""


class FinetuneRun(IdmRun):
    """All settings of `ghostpad train idm --init RUN`; those of the model are as in the run it starts from."""

    tune: TuneSettings = TuneSettings()
    train: TrainSettings = TrainSettings(steps=150, lr=3e-3, weight_decay=0.0, warmup_steps=10, checkpoint_every=50)
