"""Settings of labelling. Free of torch."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ghostpad.base.engines.settings import EngineSettings

if TYPE_CHECKING:
    from ghostpad.idm.model import Idm

GPU_VIDEOS = 16
"""Videos at once on a GPU: as many children decode, each on a core (a guess: no GPU was there to measure)."""


class LabelSettings(EngineSettings):
    """Who labels, and how a worker does it."""

    videos_at_once: int | None = Field(
        default=None, ge=1, description=f"Videos whose pieces a worker labels as one batch; none: {GPU_VIDEOS} on a GPU, else 1."
    )
    precision: Literal["auto", "no", "bf16"] = Field(default="auto", description="'bf16' halves what a GPU moves; auto: on a GPU.")
    compile: bool = Field(default=False, description="Compile the IDM: slow to begin, for long runs on a GPU.")

    def at_once(self, idm: "Idm") -> int:
        """Videos at once, on the device that an IDM is on."""
        return self.videos_at_once or (GPU_VIDEOS if idm.bins.device.type == "cuda" else 1)

    def bf16(self, idm: "Idm") -> bool:
        """Whether an IDM labels in bfloat16."""
        return self.precision == "bf16" or (self.precision == "auto" and idm.bins.device.type == "cuda")
