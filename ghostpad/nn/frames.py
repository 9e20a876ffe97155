"""Frame encoders: frames uint8 [B, T, H, W, C] (C = 1 gray or 3 RGB) become tokens [B, n, dim].

`ConvEncoder` is small and made for a CPU: the T frames are stacked as channels, so that the first layer sees motion (to encode frames one
by one, call it with T = 1). `SiglipEncoder` is the pretrained SigLIP 2 vision tower of the reference policy, run on every frame, through
`transformers`. Both scale the 0...255 themselves and take floats of that range too.
"""

import json
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.nn.distributed import rand


class ConvEncoder(nn.Module):
    """Three strided convolutions (16x smaller in all) and a learned position: [B, T, H, W, C] -> [B, H/16 * W/16, dim].

    `channels` is T * C; sizes are rounded up to a multiple of 16. About 5 million multiplications for two gray 96x72 frames at `width` 24,
    `dim` 96.
    """

    def __init__(self, channels: int, width_px: int, height_px: int, dim: int, width: int = 32):
        super().__init__()
        self.dim = dim
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 8, 4, 2), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * width, dim, 3, 2, 1),
        )  # fmt: skip
        with torch.no_grad():
            tokens = self.layers(torch.zeros(1, channels, height_px, width_px))[0, 0].numel()
        self.position = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: Tensor) -> Tensor:
        """Tokens [B, n, dim], row by row from the top left."""
        pixels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2).to(self.position.dtype) / 127.5 - 1
        return self.norm(self.layers(pixels).flatten(2).transpose(1, 2) + self.position)


class SiglipEncoder(nn.Module):
    """SigLIP 2's vision tower on every frame: [B, T, H, W, C] -> [B, T * patches, dim], frames in order.

    Frames are resized to the tower's square and scaled to -1...1 (SigLIP's mean and deviation of 0.5). `marks` adds a learned mark to the
    tokens of each of the T frames; without it T is free. With `config` the tower has random weights, for a checkpoint to fill; without,
    those of `weights`, a hub name or folder. Raises `MissingError` without transformers or the weights, `SettingsError` for a tower of
    another kind.
    """

    def __init__(self, frames: int, weights: str, config: dict[str, Any] | None = None, frozen: bool = False, marks: bool = True):
        super().__init__()
        self.tower = _read_tower(weights) if config is None else _build_tower(config)
        self.dim: int = self.tower.config.hidden_size
        self.frozen = frozen
        if frozen:
            self.tower.requires_grad_(False)
        self.frame_mark = nn.Parameter(torch.zeros(frames, 1, self.dim)) if marks else None

    @property
    def config(self) -> dict[str, Any]:
        """The tower's configuration, JSON-able, which builds the same tower without its weights."""
        return plain_config(self.tower.config)

    @property
    def side_px(self) -> int:
        """Width and height of the tower's pictures."""
        return int(self.tower.config.image_size)

    def forward(self, frames: Tensor) -> Tensor:
        """Tokens [B, T * patches, dim], after the tower's last norm."""
        pixels = frames.flatten(0, 1).permute(0, 3, 1, 2).float()
        pixels = F.interpolate(pixels, (self.side_px, self.side_px), mode="bilinear", antialias=True).expand(-1, 3, -1, -1) / 127.5 - 1
        tokens = self.look(pixels).unflatten(0, frames.shape[:2])
        return (tokens if self.frame_mark is None else tokens + self.frame_mark).flatten(1, 2)

    def look(self, pixels: Tensor) -> Tensor:
        """Tokens [N, patches, dim] of scaled pictures float [N, 3, side, side] in -1...1."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens: Tensor = self.tower(pixel_values=pixels).last_hidden_state
        return tokens


def plain_config(config: Any) -> dict[str, Any]:
    """A configuration of transformers as read back from JSON, where number keys are text, so that it equals its copy on disk."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return plain


def shake(frames: Tensor, shift_px: int, light: float, generator: torch.Generator) -> Tensor:
    """Frames [B, T, H, W, C] as float32 0...255, each sample with a random shift and light, the same for its T frames.

    The shift is up to `shift_px` whole pixels a side, edges repeated; brightness and contrast change by up to the share `light`.
    """

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * rand((len(frames),), generator)

    if shift_px:
        down, right = (draw(0, 2 * shift_px + 1).long() for _ in range(2))
        frames = (_cut if frames.is_cpu else _gather)(frames, down, right, shift_px)
    contrast, brightness = (draw(-light, light).to(frames.device).view(-1, 1, 1, 1, 1) for _ in range(2))
    return (frames * (1 + contrast) + 127.5 * (brightness - contrast)).clamp_(0, 255)


def _cut(frames: Tensor, down: Tensor, right: Tensor, shift_px: int) -> Tensor:
    """Frames [B, T, H, W, C] shifted: the edges repeated `shift_px` times, then each sample cut out from row `down` and column `right`
    (int64 [B], 0...2 `shift_px`) on. Four to twenty times quicker on a CPU than `_gather` (measured), but the host must know the places."""
    height, width = frames.shape[2:4]
    for axis in (2, 3):
        first, last = frames.narrow(axis, 0, 1), frames.narrow(axis, -1, 1)
        frames = torch.cat([first] * shift_px + [frames] + [last] * shift_px, axis)
    places = zip(frames, down.tolist(), right.tolist(), strict=True)
    return torch.stack([sample[:, y : y + height, x : x + width] for sample, y, x in places])


def _gather(frames: Tensor, down: Tensor, right: Tensor, shift_px: int) -> Tensor:
    """The same frames by a few kernels for the whole batch, on a GPU that the host does not wait for."""
    for axis, first in ((2, down), (3, right)):
        last = frames.shape[axis] - 1
        places = (torch.arange(last + 1, device=frames.device) + first[:, None] - shift_px).clamp(0, last)
        shape = [len(frames) if at == 0 else last + 1 if at == axis else 1 for at in range(frames.ndim)]
        frames = frames.gather(axis, places.view(shape).expand_as(frames))
    return frames


def transformers_package() -> Any:
    """The package transformers, imported when it is needed. Raises `MissingError` without it."""
    try:
        import transformers
    except ImportError:
        raise MissingError('the SigLIP encoder needs transformers: pip install -e ".[siglip]"') from None
    return transformers


def _build_tower(config: dict[str, Any]) -> Any:
    transformers = transformers_package()
    tower = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**config))
    if tower.use_head:  # a checkpoint may hold it, but what it pools is not used
        tower.use_head = False
        tower.head.requires_grad_(False)
    return tower


def _read_tower(weights: str) -> Any:
    transformers = transformers_package()
    try:
        config = transformers.AutoConfig.from_pretrained(weights)
        kind = config.model_type
        if kind in ("siglip", "siglip_vision_model"):
            config = getattr(config, "vision_config", config)
            config.vision_use_head = False  # its pooled vector is not used, and weights without a gradient stall distributed training
            return transformers.SiglipVisionModel.from_pretrained(weights, config=config)
    except (OSError, ValueError) as error:
        raise MissingError(f"no SigLIP weights at '{weights}' ({error}): give a folder, or a name of the hub while online") from None
    raise SettingsError(f"'{weights}' is a '{kind}' model: give a SigLIP or SigLIP 2 of fixed size, e.g. google/siglip2-base-patch16-256")
