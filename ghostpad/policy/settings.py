"""Settings of the policy. The defaults are the small CPU size; the reference's size is a matter of other numbers here.

Source of numbers: frames, offsets, chunk and executed rows are the measured recipe; sizes were chosen so that a training step of
96 samples takes about 0.1 s on one core (measured).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ghostpad.base.settings import Settings
from ghostpad.feed.settings import DataSettings
from ghostpad.train.settings import TrainSettings


class PolicySettings(Settings):
    """What the policy sees, how it is built and how it samples."""

    encoder: Literal["conv", "siglip"] = Field("conv", description="frame encoder: a small conv net, or SigLIP 2")
    siglip: str = Field("google/siglip2-large-patch16-256", description="name or folder of the SigLIP 2 weights")
    freeze_encoder: bool = Field(False, description="do not train the SigLIP encoder")
    width_px: int = Field(96, ge=16, description="width the frames are squashed to, pixels")
    height_px: int = Field(72, ge=16, description="height the frames are squashed to, pixels")
    gray: bool = Field(True, description="see gray frames instead of RGB")
    frame_offsets: tuple[Annotated[int, Field(le=0)], ...] = Field((-2, 0), min_length=1, description="frames seen, 0 is the one now shown")
    shift_px: int = Field(1, ge=0, description="training frames are shifted at random by up to this, pixels; 0: never")
    light: float = Field(0.15, ge=0, lt=1, description="training frames change brightness and contrast at random by up to this share")
    chunk: int = Field(8, ge=1, description="rows predicted at once")
    execute: int = Field(4, ge=1, description="rows of a chunk that are played before the next look")
    token_rows: int = Field(4, ge=1, description="rows that share one action token; 1, as in the reference, costs the most")
    conv_width: int = Field(24, ge=1, description="channels of the conv encoder's first layer")
    dim: int = Field(96, ge=8, description="width of the transformer")
    heads: int = Field(4, ge=1, description="attention heads")
    mixer_depth: int = Field(0, ge=0, description="self-attention blocks over the image tokens")
    depth: int = Field(4, ge=1, description="denoiser blocks, in turn cross- and self-attention")
    draws: int = Field(4, ge=1, description="noisy versions of every training sample, which share its image tokens")
    time_alpha: float = Field(1.5, gt=0, description="training times are 1 - Beta(this, 1): 1 is uniform, more prefers the noisy end")
    sampling_steps: int = Field(5, ge=1, description="Euler steps from noise to actions")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.execute > self.chunk:
            raise ValueError(f"execute ({self.execute}) is more than the chunk holds ({self.chunk})")
        if self.chunk % self.token_rows:
            raise ValueError(f"token_rows ({self.token_rows}) does not divide chunk ({self.chunk})")
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) does not divide dim ({self.dim})")
        return self


class PolicyRun(Settings):
    """Everything `ghostpad train policy` can be told."""

    model: PolicySettings = PolicySettings()
    data: DataSettings = DataSettings(batch_size=96)
    train: TrainSettings = TrainSettings(steps=900)
