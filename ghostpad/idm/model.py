"""The inverse dynamics model: frames around a row -> a belief about the pad of that row.

    frames ─┬─ motion map of each neighbouring pair ─ small conv ─┐
            └─ conv encoder of each frame (frames i, i+1) ────────┴─ one vector a row ─ temporal conv ─ local attention ─ heads

Every frame is encoded once and everything over time is local, so a long video can be read in pieces whose cut does not show
(`predict` and `ghostpad.idm.stream`). `pair` is the same code without the last two: the published starting point and the
baseline. Buttons have independent logits under plain BCE (re-weighting ruins calibration: ECE 0.18-0.30 in others'
measurements); a stick axis is a distribution over bins whose mean is the value and whose spread is the doubt. The true
history of actions is never an input (it lifts scores and collapses in use: VPT's descendants measured it).
"""

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import BUTTONS, PAD_DIM, STICKS, mirror_slots, slot
from ghostpad.feed.batch import Batch
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.calibrate import Calibration
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import label_video
from ghostpad.nn.motion import CHANNELS, MotionMap, normalise
from ghostpad.nn.temporal import LocalAttention, LocalConv
from ghostpad.train.model import Model

HALF = 2
"""Motion is matched on pictures of half the size: the fastest turn of Doom, 8 px in the middle of a 128 px picture, is 4 px there."""


def idm_window(settings: IdmSettings) -> WindowSpec:
    """The window of an IDM of these settings, known before the IDM is built."""
    s, rows = settings, settings.clip_rows
    return WindowSpec(tuple(range(rows + 1)), tuple(range(rows)), s.width_px, s.height_px, True, s.rate_hz, inside=True)


class Idm(Model):
    """The inverse dynamics model. `facts["slots"]` names the pad slots it predicts; the rest stays unknown."""

    kind: ClassVar[str] = "idm"
    settings_class = IdmSettings

    def __init__(self, settings: IdmSettings, facts: dict[str, Any]):
        super().__init__(settings, facts)
        self.calibration: Calibration | None = None  # attached by `ghostpad.idm.load`
        if not facts["slots"]:
            raise SettingsError("an IDM needs at least one known pad slot to learn: no video has recorded rows")
        self.buttons = [slot(name) for name in facts["slots"] if name in BUTTONS]
        self.sticks = [slot(name) for name in facts["slots"] if name in STICKS]
        s, dim = settings, settings.dim
        self.motion = MotionMap(s.width_px // HALF, s.height_px // HALF, s.search_x_px, s.search_y_px)
        self.map_scale = nn.BatchNorm2d(CHANNELS, affine=False, momentum=0.02)
        self.shift_scale = nn.BatchNorm1d(2, affine=False, momentum=0.02)
        self.map_conv = _encoder([CHANNELS, 24, 32], 3, self.motion.size, dim)
        self.shift_in = nn.Linear(2, dim)
        self.picture_conv = _encoder([1, 16, 24, 32], 5, (s.height_px // HALF, s.width_px // HALF), dim) if s.appearance else None
        self.pair_in = nn.Linear(2 * dim, dim) if s.appearance else None
        self.drop = nn.Dropout(s.dropout)
        window = s.variant == "window"
        self.conv = LocalConv(dim, s.convolution_rows) if window else None
        self.attention = nn.ModuleList(
            [LocalAttention(dim, s.heads, s.attention_rows, s.dropout) for _ in range(s.layers)] if window else []
        )
        self.norm = nn.LayerNorm(dim)
        self.button_head = nn.Linear(2 * dim, len(self.buttons)) if self.buttons else None
        self.stick_head = nn.Linear(2 * dim, len(self.sticks) * s.bins) if self.sticks else None
        self.register_buffer("bins", torch.linspace(-1, 1, s.bins), persistent=False)
        source, sign = mirror_slots()
        self.register_buffer("mirror_source", torch.tensor(source), persistent=False)
        self.register_buffer("mirror_sign", torch.from_numpy(sign), persistent=False)

    bins: Tensor
    mirror_source: Tensor
    mirror_sign: Tensor

    @property
    def window(self) -> WindowSpec:
        """A training clip: `clip_rows` rows and the frames around them."""
        return idm_window(self.settings)

    @property
    def reach(self) -> int:
        """How many rows each way a row's belief depends on."""
        return self.settings.convolution_rows + self.settings.layers * self.settings.attention_rows if self.conv else 0

    # ---- reading frames -----------------------------------------------------------------------------------------

    def encode(self, frames: Tensor) -> Tensor:
        """One vector a row, float [B, T, dim], from frames uint8 [B, T+1, H, W, 1]; depends on frames i and i+1 alone."""
        batch, length = frames.shape[:2]
        small = F.avg_pool2d(frames[..., 0].flatten(0, 1)[:, None].float() / 255, HALF)[:, 0]
        clean = normalise(small).unflatten(0, (batch, length))
        maps, shifts = self.motion(torch.stack([clean[:, :-1].flatten(0, 1), clean[:, 1:].flatten(0, 1)]))
        rows = self.map_conv(self.map_scale(maps)) + self.shift_in(self.shift_scale(shifts))
        if self.picture_conv is not None and self.pair_in is not None:
            seen = self.drop(self.picture_conv(clean.flatten(0, 1)[:, None] / 2)).unflatten(0, (batch, length))
            rows = rows + self.pair_in(torch.cat([seen[:, :-1], seen[:, 1:]], -1)).flatten(0, 1)
        return F.gelu(rows).unflatten(0, (batch, length - 1))

    def relate(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Button logits [B, T, buttons] and stick bin logits [B, T, sticks, bins] from row vectors [B, T, dim]."""
        x = self.drop(rows)
        if self.conv is not None:
            x = x + self.conv(x)
        for layer in self.attention:
            x = layer(x)
        both = torch.cat([self.norm(x), rows], -1)
        shape = both.shape[:2]
        logits = self.button_head(both) if self.button_head is not None else both.new_zeros(*shape, 0)
        bins = (
            self.stick_head(both).unflatten(-1, (len(self.sticks), -1))
            if self.stick_head is not None
            else both.new_zeros(*shape, 0, len(self.bins))
        )
        return logits, bins

    def belief(self, logits: Tensor, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Pads [B, T, 25] (button probabilities, stick means; 0 where there is no head) and stick spreads [B, T, 4]."""
        pads = logits.new_zeros(*logits.shape[:2], PAD_DIM)
        spreads = logits.new_zeros(*logits.shape[:2], len(STICKS))
        pads[..., self.buttons] = logits.sigmoid()
        share = bins.softmax(-1)
        mean = (share * self.bins).sum(-1)
        pads[..., self.sticks] = mean
        spreads[..., [index - len(BUTTONS) for index in self.sticks]] = ((share * self.bins**2).sum(-1) - mean**2).clamp(min=0).sqrt()
        return pads, spreads

    @torch.no_grad()
    def predict(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Pads [T, 25] and stick spreads [T, 4] for frames uint8 [T+1, H, W, 1] of one video, as if it began and ended there."""
        pads, spreads = self.belief(*self.relate(self.encode(frames[None])))
        return pads[0], spreads[0]

    def label(self, path: str | Path, *, threads: int = 1) -> pa.Table:
        """One row for every kept frame of a video file but the last (schema `ghostpad.base.records.LABELS`): `pts_s`, a probability
        a button, a mean and a spread a stick axis, null where this IDM has no head, and the row's confidence. Calibrated if a
        calibration is attached.

        The video is read once, in memory that grows by the labels alone. torch uses `threads` threads meanwhile (1: two processes with
        two each took forty times as long on two busy cores, measured); decoding has a thread of its own. Raises `MissingError`, and
        `MediaError` if the file cannot be read to its end or shows fewer than two frames.
        """
        return label_video(self, path, threads=threads)

    # ---- learning -----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Plain BCE of the buttons, and for the sticks the error of the mean plus the likelihood of softened bins."""
        batch = self._augment(batch, generator)
        logits, bins = self.relate(self.encode(batch.frames))
        total, logs = logits.new_zeros(()), {}
        if self.buttons:
            each = F.binary_cross_entropy_with_logits(logits, batch.pads[..., self.buttons], reduction="none")
            logs["buttons"] = _weighted(each, batch.weight[..., self.buttons])
            total = total + logs["buttons"]
        if self.sticks:
            truth, weight = batch.pads[..., self.sticks], batch.weight[..., self.sticks]
            mean = (bins.softmax(-1) * self.bins).sum(-1)
            logs["stick_mean"] = _weighted(F.smooth_l1_loss(mean, truth, beta=0.2, reduction="none"), weight)
            logs["stick_bins"] = _weighted(-(self._soft_bins(truth) * bins.log_softmax(-1)).sum(-1), weight)
            total = total + self.settings.mean_weight * logs["stick_mean"] + self.settings.bins_weight * logs["stick_bins"]
        return total, {name: value.detach() for name, value in logs.items()}

    def _soft_bins(self, values: Tensor) -> Tensor:
        """HL-Gauss targets: a Gaussian of 0.75 bins around the value (the width its paper recommends)."""
        width = 0.75 * (self.bins[1] - self.bins[0])
        return (-0.5 * ((values[..., None] - self.bins) / width) ** 2).softmax(-1)

    def _augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch with half of its clips mirrored and each clip under another light, alike over the clip."""
        frames, pads, weight, count = batch.frames, batch.pads, batch.weight, len(batch.frames)
        chance = torch.rand(3, count, generator=generator, device=frames.device)
        if self.settings.mirror:
            flip = chance[0] < 0.5
            frames = torch.where(flip[:, None, None, None, None], frames.flip(3), frames)
            pads = torch.where(flip[:, None, None], pads[..., self.mirror_source] * self.mirror_sign, pads)
            weight = torch.where(flip[:, None, None], weight[..., self.mirror_source], weight)
        if self.settings.light:
            contrast, light = (1 + self.settings.light * (2 * chance[1:] - 1))[..., None, None, None, None]
            frames = ((frames.float() - 128) * contrast + 128 * light).clamp(0, 255).to(torch.uint8)
        return Batch(frames, pads, weight, batch.refs)


def _weighted(each: Tensor, weight: Tensor) -> Tensor:
    """The mean of `each` by `weight`, 0 where all weigh nothing."""
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def _encoder(channels: list[int], kernel: int, size: tuple[int, int], dim: int) -> nn.Sequential:
    """Strided convolutions and one linear layer: [N, channels[0], *size] -> [N, dim]."""
    layers: list[nn.Module] = []
    height, width = size
    for before, after in zip(channels[:-1], channels[1:], strict=True):
        layers += [nn.Conv2d(before, after, kernel, 2, kernel // 2), nn.GELU()]
        height, width, kernel = (height + 1) // 2, (width + 1) // 2, 3
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, dim))
