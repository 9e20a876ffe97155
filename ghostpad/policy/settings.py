"""Settings of the policy. The defaults are the small CPU size; other values give the reference's size and function
(`ghostpad.policy.nitrogen.config` has them).

Source of numbers: frames, offsets, chunk and executed rows are the
measured recipe; sizes were chosen so that a training step of 96 samples takes about 0.1 s on one core (measured).
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
    frame_marks: bool = Field(True, description="SigLIP tokens carry a learned mark of their frame; the reference's do not")
    width_px: int = Field(96, ge=16, description="width the frames are squashed to, pixels")
    height_px: int = Field(72, ge=16, description="height the frames are squashed to, pixels")
    gray: bool = Field(True, description="see gray frames instead of RGB")
    frame_offsets: tuple[Annotated[int, Field(le=0)], ...] = Field((-2, 0), min_length=1, description="frames seen, 0 is the one now shown")
    shift_px: int = Field(1, ge=0, description="training frames are shifted at random by up to this, pixels; 0: never")
    light: float = Field(0.15, ge=0, lt=1, description="training frames change brightness and contrast at random by up to this share")
    action_shift: int = Field(0, ge=0, description="rows from the pad in force when the newest frame is shown to the first one predicted")
    chunk: int = Field(8, ge=1, description="rows predicted at once")
    execute: int = Field(4, ge=1, description="rows of a chunk that are played before the next look")
    token_rows: int = Field(4, ge=1, description="rows that share one action token; 1, as in the reference, costs the most")
    action_tokens: Literal["linear", "timed"] = Field(
        "linear", description="how rows become tokens and back: one linear layer, or the reference's layers, which also read the time"
    )
    action_space: Literal["signed", "unit"] = Field("signed", description="range of pads in the flow: -1...1, or 0...1 as in the reference")
    learned_positions: int = Field(0, ge=0, description="learned positions that timed tokens can have (linear ones always have theirs)")
    conv_width: int = Field(24, ge=1, description="channels of the conv encoder's first layer")
    dim: int = Field(96, ge=8, description="width of the transformer")
    heads: int = Field(4, ge=1, description="attention heads")
    mixer_depth: int = Field(0, ge=0, description="self-attention blocks over the image tokens")
    mixer_heads: int = Field(0, ge=0, description="attention heads of those blocks; 0: as many as the transformer's")
    depth: int = Field(4, ge=1, description="denoiser blocks, in turn cross- and self-attention")
    interleave: bool = Field(True, description="every second denoiser block is self-attention; without it all are cross-attention")
    positions: int = Field(0, ge=0, description="rows of the sinusoids added in every denoiser block; 0: none")
    mixer_positions: int = Field(0, ge=0, description="the same in every mixer block")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of numbers dropped in the denoiser's blocks while training")
    mixer_dropout: float = Field(0.0, ge=0, lt=1, description="the same in the mixer's blocks")
    final_dropout: bool = Field(False, description="drop again behind attention and feed-forward, in the denoiser")
    mixer_final_dropout: bool = Field(False, description="the same in the mixer")
    last_eps: float = Field(1e-5, gt=0, description="the small number in the denoiser's last norm")
    context_tokens: int = Field(0, ge=0, description="length the image tokens are padded to, zeros on the left; 0: no padding")
    mask_padding: bool = Field(False, description="nothing attends to the padding; in the reference it takes part")
    game_rows: int = Field(0, ge=0, description="rows of the table of games, the first for none; 0: no conditioning on the game")
    drop_game: float = Field(0.0, ge=0, le=1, description="share of training samples without the conditioning on their game")
    drop_frames: float = Field(0.0, ge=0, le=1, description="share of training samples that see the newest frame only (SigLIP)")
    draws: int = Field(4, ge=1, description="noisy versions of every training sample, which share its image tokens")
    time_alpha: float = Field(1.5, gt=0, description="training times are 1 - Beta(this, ..): 1 is uniform, more prefers the noisy end")
    time_beta: float = Field(1.0, gt=0, description="the other number of that Beta; below 1 prefers the noisy end even more")
    latest_time: float = Field(0.999, gt=0, le=1, description="training times are scaled by this")
    time_buckets: int = Field(0, ge=0, description="buckets into which the time is rounded; 0: exact")
    sampling_steps: int = Field(5, ge=1, description="Euler steps from noise to actions")
    guidance: float = Field(0.0, ge=0, description="strength of guidance away from what the newest frame alone predicts; 0: none")
    guide_game: bool = Field(False, description="guidance and conditioning on the game may be combined; never in the reference")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.execute > self.chunk:
            raise ValueError(f"execute ({self.execute}) is more than the chunk holds ({self.chunk})")
        if self.chunk % self.token_rows:
            raise ValueError(f"token_rows ({self.token_rows}) does not divide chunk ({self.chunk})")
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) does not divide dim ({self.dim})")
        if self.action_tokens == "timed" and 0 < self.learned_positions < self.chunk // self.token_rows:
            raise ValueError(f"learned_positions ({self.learned_positions}) is less than the chunk's tokens")
        if self.game_rows == 1:
            raise ValueError("game_rows is 1, which leaves room for no game: 0 is without games")
        return self


CHANGEABLE = frozenset({
    "siglip", "freeze_encoder", "frame_offsets", "shift_px", "light", "action_shift", "execute", "dropout", "mixer_dropout",
    "mask_padding", "drop_game", "drop_frames", "draws", "time_alpha", "time_beta", "latest_time", "sampling_steps", "guidance",
    "guide_game",
})  # fmt: skip
"""Settings that fine-tuning may change: they concern learning and playing, not the meaning of the weights."""


class TuneSettings(Settings):
    """Which parts of a policy learn, and how."""

    how: Literal["full", "freeze", "lora"] = Field(
        "full", description="train all of it, freeze the parts below, or train low-rank additions to those alone (LoRA)"
    )
    parts: tuple[Literal["encoder", "mixer", "denoiser"], ...] = Field(
        ("encoder",), min_length=1, description="the parts that are frozen or get LoRA; the layers between rows and tokens always learn"
    )
    rank: int = Field(16, ge=1, description="rank of LoRA's additions")


class PolicyRun(Settings):
    """All settings of `ghostpad train policy`."""

    model: PolicySettings = PolicySettings()
    tune: TuneSettings = TuneSettings()
    data: DataSettings = DataSettings(batch_size=96)
    train: TrainSettings = TrainSettings(steps=900)


class FinetuneRun(PolicyRun):
    """All settings of `ghostpad train policy --init RUN`; those of the model are the run's.

    Rate and weight decay are those of NitroGen's paper; the other numbers are guesses.
    """

    data: DataSettings = DataSettings(batch_size=32)
    train: TrainSettings = TrainSettings(steps=600, lr=1e-4, weight_decay=0.001, warmup_steps=50)
