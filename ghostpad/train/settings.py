"""Settings of the training loop, shared by every model."""

from typing import Literal

from pydantic import Field

from ghostpad.base.settings import Settings

RUNTIME_ONLY = {"parallel", "recompute", "accumulate", "checkpoint_every", "log_every", "validate_every", "workers", "cache_gb"}
"""Settings of training and data that say how a run is computed and not what: a run may resume with other values, and `run.json` leaves
them out."""


class TrainSettings(Settings):
    """The training loop."""

    steps: int = Field(600, ge=1, description="optimiser steps")
    lr: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="AdamW weight decay, on matrices only")
    warmup_steps: int = Field(30, ge=0, description="steps of linear warm-up")
    decay_share: float = Field(0.3, ge=0, le=1, description="last share of the steps in which the rate falls linearly to 0")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the weight average that is published (0: the raw weights)")
    clip_norm: float = Field(1.0, gt=0, description="gradient norm is clipped to this")
    seed: int = Field(0, ge=0, description="seed of initial weights, batch order and noise")
    precision: Literal["no", "bf16", "fp16"] = Field("no", description="accelerate's mixed precision (fp16: on a GPU, and not with fsdp)")
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="what each process of torchrun has: a copy of the model, or a shard of every weight (FSDP2)"
    )
    recompute: bool = Field(
        False, description="compute layers again in the backward pass (gradient checkpointing): less memory, about a third more time"
    )
    accumulate: int = Field(1, ge=1, description="parts in which a process computes its batch, to save memory (gradient accumulation)")
    threads: int = Field(
        0, ge=0, description="CPU threads (0: one or torch's default, the faster at the start); results repeat exactly for one value only"
    )
    checkpoint_every: int = Field(200, ge=1, description="steps between two checkpoints to resume from")
    log_every: int = Field(20, ge=1, description="steps between two log entries")
    validate_every: int = Field(100, ge=1, description="steps between two validation losses, on the videos held out")
