"""The inverse dynamics model: frames around a row -> a prediction of the pad of that row.

    frames ─┬─ motion map of each neighbouring pair ─ small conv ─┐
            └─ encoder of each frame (frames i, i+1) ─────────────┴─ one vector a row ─ temporal conv ─ local attention ─ heads

Every frame is encoded once and all layers over time are local, so a long video can be labelled in pieces (`ghostpad.idm.predict`). The
variant `pair` has no layers over time: the published starting point and a baseline; `frame` sees frame i alone: what a picture shows
without any motion. Buttons have independent logits under plain BCE (re-weighting ruins calibration: ECE 0.18-0.30 in others'
measurements); a stick axis is a distribution over bins, with its mean as the value and its spread as the uncertainty. Two more logits a
button, where a press begins and where it ends, only help training. Recorded past actions are never an input (they lift scores and fail in
use: VPT's descendants measured it).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
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
from ghostpad.idm.augment import augment, mask_covers
from ghostpad.idm.calibrate import Calibration
from ghostpad.idm.predict import Logits
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import label_video
from ghostpad.nn.device import lower_precision, send
from ghostpad.nn.distributed import rand, weighted_mean
from ghostpad.nn.frames import SiglipEncoder
from ghostpad.nn.motion import CHANNELS, MotionMap, normalise
from ghostpad.nn.temporal import LocalAttention, LocalConv
from ghostpad.train.model import Model
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.paint import Boxes, Share

HALF = 2
"""Motion is matched on pictures of half the size, where Doom's fastest turn is 4 px, as it is 8 px in the middle of a 128 px picture."""


def idm_window(settings: IdmSettings) -> WindowSpec:
    """A training clip of an IDM of these settings: `clip_rows` rows and the frames around them."""
    s, rows = settings, settings.clip_rows
    return WindowSpec(tuple(range(rows + 1)), tuple(range(rows)), s.width_px, s.height_px, True, s.rate_hz, inside=True)


class Idm(Model):
    """The inverse dynamics model.

    facts["slots"]      the pad slots it predicts; all others stay unknown
    facts["by_game"]    the slots that each game it learned from uses
    facts["masks"]      masks of the footage it learned from, to draw from for footage that has none
    """

    kind: ClassVar[str] = "idm"
    settings_class = IdmSettings

    def __init__(self, settings: IdmSettings, facts: dict[str, Any]):
        super().__init__(settings, facts)
        self.calibration: Calibration | None = None  # attached by `ghostpad.idm.load`
        s, dim, window = settings, settings.dim, settings.variant == "window"
        motion = s.motion and s.variant != "frame"
        if not facts["slots"]:
            raise SettingsError("an IDM needs at least one known pad slot to learn: no video has recorded rows")
        if not (motion or s.appearance):
            raise SettingsError("an IDM that looks at neither motion nor appearance sees nothing: turn one of them on")
        self.buttons = [slot(name) for name in facts["slots"] if name in BUTTONS]
        self.sticks = [slot(name) for name in facts["slots"] if name in STICKS]
        self.motion = _Motion(s) if motion else None
        self.picture = self._make_encoder() if s.appearance else None
        self.pair_in = nn.Linear((1 if s.variant == "frame" else 2) * dim, dim) if s.appearance else None
        self.masks: list[Share] = [tuple(mask) for mask in facts.get("masks", ())]
        self.games: list[str] = sorted(facts.get("by_game", {})) if s.binding == "game" else []
        self.binding = nn.Embedding(len(self.games) + 1, dim) if self.games else None  # the last one: any other game
        if self.binding is not None:
            nn.init.zeros_(self.binding.weight)
        self.drop = nn.Dropout(s.dropout)
        self.conv = LocalConv(dim, s.convolution_rows) if window else None
        self.attention = nn.ModuleList(LocalAttention(dim, s.heads, s.attention_rows, s.dropout) for _ in range(s.layers * window))
        self.norm = nn.LayerNorm(dim)
        self.button_head = nn.Linear(2 * dim, len(self.buttons)) if self.buttons else None
        self.event_head = nn.Linear(2 * dim, 2 * len(self.buttons)) if self.buttons and s.event_weight else None
        self.stick_head = nn.Linear(2 * dim, len(self.sticks) * s.bins) if self.sticks else None
        self.register_buffer("bins", torch.linspace(-1, 1, s.bins), persistent=False)
        source, sign = mirror_slots()
        covers = mask_covers(self.masks, s.width_px, s.height_px) if s.mask else None
        buffers = {
            "mirror_source": torch.tensor(source), "mirror_sign": torch.from_numpy(sign), "covers": covers,
            # Columns of the pad where it is indexed; a list would be copied to a GPU at every use, and waited for.
            "button_at": torch.tensor(self.buttons, dtype=torch.long), "stick_at": torch.tensor(self.sticks, dtype=torch.long),
        }  # fmt: skip
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.bf16 = False

    bins: Tensor
    mirror_source: Tensor
    mirror_sign: Tensor
    covers: Tensor | None
    button_at: Tensor
    stick_at: Tensor

    @property
    def window(self) -> WindowSpec:
        """Its training clip, see `idm_window`."""
        return idm_window(self.settings)

    @property
    def reach(self) -> int:
        """How many rows each way the prediction of a row depends on."""
        return self.settings.convolution_rows + self.settings.layers * self.settings.attention_rows if self.conv else 0

    def quicken(self, *, bf16: bool = False, compile: bool = False) -> "Idm":
        """Make labelling faster from here on; returns itself.

        bf16     compute in bfloat16 where that is safe: not in matching motion, nor in the probabilities and means
        compile  compile what takes the time (`torch.compile`); the first pieces then take a minute or more
        """
        self.bf16 = bf16
        if compile:
            for part in (self.motion, self.picture, self.conv, *self.attention):
                if part is not None:
                    part.compile()
        return self

    def precision(self) -> AbstractContextManager[object]:
        """The context to label in: bfloat16 after `quicken`."""
        return lower_precision(self.bins.device, self.bf16)

    # ---- reading frames -----------------------------------------------------------------------------------------

    def slots_of(self, game: str | None) -> list[str]:
        """The slots it predicts in a game's footage: those the game uses, or all for a game it did not learn from."""
        known: list[str] = self.facts.get("by_game", {}).get(game, self.facts["slots"])
        return known

    def encode(self, frames: Tensor) -> Tensor:
        """One vector a row, float [B, T, dim], from frames 0...255 [B, T+1, H, W, 1]; depends on frames i and i+1 alone."""
        batch, length = frames.shape[:2]
        rows = frames.new_zeros((), dtype=self.bins.dtype)
        small = F.avg_pool2d(frames[..., 0].flatten(0, 1)[:, None].to(self.bins.dtype) / 255, HALF)[:, 0]
        clean = normalise(small).unflatten(0, (batch, length))
        if self.motion is not None:
            rows = rows + self.motion(clean)
        if self.picture is not None and self.pair_in is not None:
            pictures = clean.flatten(0, 1)[:, None] / 2 if isinstance(self.picture, nn.Sequential) else frames.flatten(0, 1)
            seen = self.drop(self.picture(pictures).unflatten(0, (batch, length)))
            now, then = seen[:, :-1], seen[:, 1:]
            rows = rows + self.pair_in(now if self.settings.variant == "frame" else torch.cat([now, then], -1))
        return F.gelu(rows)

    def game_rows(self, games: Sequence[str | None]) -> Tensor:
        """Numbers of games for `relate`, int64 [B]; all that it did not learn from have one."""
        return send([self.games.index(game) if game in self.games else len(self.games) for game in games], self.bins.device)

    def relate(self, rows: Tensor, games: Tensor) -> Logits:
        """Logits of rows, from row vectors [B, T, dim] and the `game_rows` of the B videos."""
        x = self.drop(rows)
        if self.binding is not None:
            x = x + self.binding(games)[:, None]
        if self.conv is not None:
            x = x + self.conv(x)
        for layer in self.attention:
            x = layer(x)
        both = torch.cat([self.norm(x), rows], -1)
        empty = both.new_zeros(*both.shape[:2], 0)
        return Logits(
            held=self.button_head(both) if self.button_head is not None else empty,
            events=self.event_head(both).unflatten(-1, (2, -1)) if self.event_head is not None else empty[:, :, None],
            bins=self.stick_head(both).unflatten(-1, (len(self.sticks), -1)) if self.stick_head is not None else empty[..., None],
        )

    def pads_of(self, logits: Logits) -> tuple[Tensor, Tensor]:
        """Pads [B, T, 25] (button probabilities, stick means; 0 where there is no head) and stick spreads [B, T, 4]."""
        pads = logits.held.new_zeros(*logits.held.shape[:2], PAD_DIM, dtype=torch.float32)
        spreads = pads[..., : len(STICKS)].clone()
        pads[..., self.button_at] = logits.held.float().sigmoid()
        if self.sticks:
            p = logits.bins.float().softmax(-1)
            pads[..., self.stick_at] = mean = (p * self.bins).sum(-1)
            variance = (p * self.bins**2).sum(-1) - mean**2
            spreads[..., self.stick_at - len(BUTTONS)] = variance.clamp(min=0).sqrt()
        return pads, spreads

    @torch.no_grad()
    def predict(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Pads [T, 25] and stick spreads [T, 4] of a whole video of frames uint8 [T+1, H, W, 1], uncalibrated."""
        pads, spreads = self.pads_of(self.relate(self.encode(frames[None]), self.game_rows([None])))
        return pads[0], spreads[0]

    def label(
        self,
        path: str | Path,
        *,
        game: str | None = None,
        threads: int = 1,
        mask: Boxes = (),
        child: VideoChild | None = None,
        gaps: list[Gap] | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
    ) -> pa.Table:
        """One row for every kept frame of a video file but the last (schema `ghostpad.base.records.LABELS`): `pts_s`, a probability
        a button, a mean and a spread a stick axis, null where this IDM has no head, and the row's confidence. Calibrated if a
        calibration is attached. The boxes of `mask` (pixels of the video) are covered. With the name of a `game` it learned from, only
        slots that the game uses are predicted.

        The video is read once, from `start_s` to before `end_s`; only the labels take memory that grows. Meanwhile torch uses `threads`
        threads (1: two processes with two each took forty times as long on two busy cores, measured); decoding has a thread of its own,
        or is done by a `child` with limits. For several videos on a GPU see `ghostpad.idm.stream.label_together`. With a list of `gaps` a
        video that is damaged in the middle gets rows for its good parts, each read by itself, and the stretches without rows are added to
        the list. Raises `MissingError`, and `MediaError` if the file cannot be read to its end (with `gaps`: at all), `NoRowsError` if it
        shows no two frames after each other.
        """
        return label_video(self, path, game=game, threads=threads, mask=mask, child=child, gaps=gaps, start_s=start_s, end_s=end_s)

    # ---- learning -----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Plain BCE of the buttons and their events; for the sticks the error of the mean plus the likelihood of softened bins.

        In evaluation mode there is no augmentation and every game is known.
        """
        s = self.settings
        games = self.game_rows([ref.game for ref in batch.refs])
        if self.training:
            batch = augment(batch, s, (self.mirror_source, self.mirror_sign), generator, self.covers)
            games = games.masked_fill(rand((len(games),), generator) < s.binding_dropout, len(self.games))
        logits = self.relate(self.encode(batch.frames), games)
        total, logs = logits.held.new_zeros(()), {}
        if self.buttons:
            truth, weight = batch.pads[..., self.button_at], batch.weight[..., self.button_at]
            logs["buttons"] = weighted_mean(_bce(logits.held, truth), weight)
            total = total + logs["buttons"]
            if self.event_head is not None:
                events, event_weight = events_of(truth, weight)
                logs["events"] = weighted_mean(_bce(logits.events, events), event_weight)
                total = total + s.event_weight * logs["events"]
        if self.sticks:
            truth, weight = batch.pads[..., self.stick_at], batch.weight[..., self.stick_at]
            mean = (logits.bins.softmax(-1) * self.bins).sum(-1)
            logs["stick_mean"] = weighted_mean(F.smooth_l1_loss(mean, truth, beta=0.2, reduction="none"), weight)
            logs["stick_bins"] = weighted_mean(-(self._soft_bins(truth) * logits.bins.log_softmax(-1)).sum(-1), weight)
            total = total + s.mean_weight * logs["stick_mean"] + s.bins_weight * logs["stick_bins"]
        return total, {name: value.detach() for name, value in logs.items()}

    def _soft_bins(self, values: Tensor) -> Tensor:
        """HL-Gauss targets: a Gaussian of 0.75 bins around the value (the width its paper recommends)."""
        width = 0.75 * (self.bins[1] - self.bins[0])
        return (-0.5 * ((values[..., None] - self.bins) / width) ** 2).softmax(-1)

    def _make_encoder(self) -> nn.Module:
        s = self.settings
        if s.encoder == "conv":
            return _encoder([1, 16, 24, 32], (7, 4), (s.height_px // HALF, s.width_px // HALF), s.dim)
        siglip = _Siglip(s, self.facts.get("siglip_config"))
        self.facts = self.facts | {"siglip_config": siglip.tower.config}  # so that a run is loaded without fetching the weights again
        return siglip


class _Motion(nn.Module):
    """The motion map of neighbouring frames, and the shift of the whole picture, as one vector a row."""

    def __init__(self, s: IdmSettings):
        super().__init__()
        self.map = MotionMap(s.width_px // HALF, s.height_px // HALF, s.search_x_px, s.search_y_px)
        self.map_scale = nn.BatchNorm2d(CHANNELS, affine=False, momentum=0.02)
        self.shift_scale = nn.BatchNorm1d(2, affine=False, momentum=0.02)
        self.map_conv = _encoder([CHANNELS, 24, 32], (3, 2), self.map.size, s.dim)
        self.shift_in = nn.Linear(2, s.dim)

    def forward(self, clean: Tensor) -> Tensor:
        """[B, T, dim] from normalised pictures [B, T+1, h, w]."""
        maps, shifts = self.map(torch.stack([clean[:, :-1].flatten(0, 1), clean[:, 1:].flatten(0, 1)]))
        rows = self.map_conv(self.map_scale(maps)) + self.shift_in(self.shift_scale(shifts))
        return rows.unflatten(0, (len(clean), -1))


class _Siglip(nn.Module):
    """SigLIP's tower on single frames, the mean of its tokens as one vector."""

    def __init__(self, s: IdmSettings, config: dict[str, Any] | None):
        super().__init__()
        self.tower = SiglipEncoder(1, s.siglip, config, s.freeze_encoder)
        self.out = nn.Linear(self.tower.dim, s.dim)

    def forward(self, frames: Tensor) -> Tensor:
        """[N, dim] from frames 0...255 [N, H, W, 1]."""
        return self.out(self.tower(frames[:, None]).mean(1))


_bce = partial(F.binary_cross_entropy_with_logits, reduction="none")


def events_of(held: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Where presses begin and end, [B, T, 2, n] each 0 or 1, and their weights, from buttons held [B, T, n] and their weights.

    Row i begins a press if the button is down in row i and up in row i - 1; in the first row of a clip that is unknown.
    """
    down = held >= 0.5
    began, ended = down[:, 1:] & ~down[:, :-1], ~down[:, 1:] & down[:, :-1]
    events = F.pad(torch.stack([began, ended], 2).to(held.dtype), (0, 0, 0, 0, 1, 0))
    known = F.pad(torch.minimum(weight[:, 1:], weight[:, :-1]), (0, 0, 1, 0))
    return events, known[:, :, None].expand_as(events)


def _encoder(channels: list[int], first: tuple[int, int], size: tuple[int, int], dim: int) -> nn.Sequential:
    """Strided convolutions and one linear layer: [N, channels[0], *size] -> [N, dim]; `first`: kernel and stride of the first."""
    layers: list[nn.Module] = []
    (height, width), (kernel, stride) = size, first
    for before, after in zip(channels[:-1], channels[1:], strict=True):
        layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.GELU()]
        height, width = ((side + 2 * (kernel // 2) - kernel) // stride + 1 for side in (height, width))
        kernel, stride = 3, 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, dim))
