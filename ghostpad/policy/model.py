"""The policy: frames up to the one now shown in, a chunk of pads out, trained by flow matching.

    frames -> encoder -> image tokens -> one row of context -> self-attention mixer -> read once by every cross-attention block
    noise  -> action tokens (`token_rows` rows each) -> denoiser -> velocity -> ... -> rows i ... i+K-1

So what does not depend on the sampler's step (vision, mixer, keys and values) is computed once for a chunk. Only the slots of
`facts["slots"]` (those the game reads) are in the vector. A number of weight 0 is replaced by noise, so that neither the loss nor the
other numbers of the chunk depend on it.

One class serves from 1 million parameters on a CPU to the 494 million of the reference, NitroGen (arXiv:2601.02427): its settings
choose size and function, and `ghostpad.policy.nitrogen.checkpoint` reads and writes NitroGen's checkpoints.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from accelerate import init_empty_weights
from torch import Tensor

from ghostpad.base.errors import SettingsError, unknown
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.settings import Settings
from ghostpad.feed.batch import Batch
from ghostpad.feed.window import WindowSpec
from ghostpad.nn.device import lower_precision, send
from ghostpad.nn.distributed import rand, randn
from ghostpad.nn.flow import draw_times, make_path, sample, velocity_loss
from ghostpad.nn.frames import ConvEncoder, SiglipEncoder, shake
from ghostpad.nn.packed import pack_linears
from ghostpad.nn.transformer import Denoiser, Extras, KeysValues, Mixer
from ghostpad.policy.actions import ActionSpace, make_embedding, make_positions, make_readout
from ghostpad.policy.context import ContextRow, name_games
from ghostpad.policy.settings import PolicySettings
from ghostpad.train.model import Model

Reading = list[KeysValues | None]
"""What every block of the denoiser reads of the frames."""


def policy_window(settings: PolicySettings) -> WindowSpec:
    """The window of a policy of these settings, known before the policy is built."""
    s = settings
    rows = range(s.action_shift, s.action_shift + s.chunk)
    return WindowSpec(s.frame_offsets, tuple(rows), s.width_px, s.height_px, s.gray)


class Policy(Model):
    """A flow-matching policy. `facts["slots"]` names the pad slots it plays; `SettingsError` without it.

    games  the games it can be conditioned on, with their rows in its table (`facts["game_ids"]`, else `facts["games"]` numbered from 1)
    """

    kind: ClassVar[str] = "policy"
    settings_class: ClassVar[type[Settings]] = PolicySettings
    settings: PolicySettings
    slot_at: Tensor

    def __init__(self, settings: PolicySettings, facts: dict[str, Any]):
        super().__init__(settings, facts)
        if not facts.get("slots"):
            raise SettingsError("a policy needs facts['slots'], the names of the pad slots it plays")
        s = settings
        self.slots = [slot(name) for name in facts["slots"]]
        self.register_buffer("slot_at", torch.tensor(self.slots), persistent=False)  # a list would be copied to a GPU at every use
        self.space = ActionSpace(s.action_space, self.slots)
        self.encoder = self._make_encoder()
        self.mixer = Mixer(
            s.mixer_depth, self.encoder.dim, s.mixer_heads or s.heads, Extras(s.mixer_positions, s.mixer_dropout, s.mixer_final_dropout)
        )
        numbers = s.token_rows * len(self.slots)
        self.embed = make_embedding(s, numbers)
        self.position = make_positions(s)
        self.denoiser = Denoiser(
            s.dim, s.heads, s.depth, self.encoder.dim, interleave=s.interleave, buckets=s.time_buckets, last_eps=s.last_eps,
            extras=Extras(s.positions, s.dropout, s.final_dropout),
        )  # fmt: skip
        self.to_velocity = make_readout(s, numbers)
        self.context = ContextRow(s, self.encoder.dim)
        self.games = name_games(s, facts)
        if s.game_rows:
            self.facts = self.facts | {"game_ids": self.games}  # so that fine-tuning on other games keeps the rows
        self.bf16 = False

    @classmethod
    def on_meta(cls, settings: Settings, facts: dict[str, Any]) -> "Policy":
        """As in the base class; a policy with a conv encoder gets random weights."""
        assert isinstance(settings, PolicySettings)
        if settings.encoder == "conv" or "siglip_config" not in facts:
            return cls(settings, facts)
        with init_empty_weights(include_buffers=False):
            return cls(settings, facts)

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return next(self.parameters()).device

    @property
    def window(self) -> WindowSpec:
        """Frames up to the one now shown, and `chunk` rows from `action_shift` rows after it on; the rate is the video's own."""
        return policy_window(self.settings)

    def quicken(self, *, pack: bool = False, bf16: bool = False, compile: bool = False) -> "Policy":
        """Make sampling faster from here on; returns itself.

        pack     keep linear layers' weights packed too, on a CPU in float32 (`ghostpad.nn.packed`), instead of the other two; the
                 weights must not change any more
        bf16     compute in bfloat16 where that is safe
        compile  compile what takes the time (`torch.compile`); the first chunk then takes minutes
        """
        self.bf16 = bf16
        if pack:
            pack_linears(self)
        if compile:
            for part in (self.encoder.tower if isinstance(self.encoder, SiglipEncoder) else self.encoder, self.mixer, self.denoiser):
                part.compile()
        return self

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean squared error of the velocity, over `draws` noisy versions of every sample. In evaluation mode nothing is augmented
        or dropped."""
        s = self.settings
        clean = self.space.to_flow(batch.pads[..., self.slot_at]).unsqueeze(1)
        weight = batch.weight[..., self.slot_at].unsqueeze(1)
        shape = (len(clean), s.draws, s.chunk, len(self.slots))
        noise = randn(shape, generator).to(clean.device)
        time = draw_times(shape[:2], s.time_alpha, generator, s.time_beta, s.latest_time).to(clean.device)
        images = self._images(shake(batch.frames, s.shift_px, s.light, generator) if self.training else batch.frames)
        games = self._draw_games([ref.game for ref in batch.refs], generator)
        reading = self.read(images, self._draw_kept(images, generator), games)
        loss = self._flow_loss(clean, weight, noise, time, reading)
        return loss, {"velocity_error": loss.detach()}

    def weigh(self, batch: Batch) -> Tensor:
        """The weight of the slots it plays, a scalar."""
        return batch.weight[..., self.slots].sum()

    def flow_loss(
        self, pixel_values: Tensor, actions: Tensor, noise: Tensor, time: Tensor, dropped: Tensor | None = None, game: str | None = None
    ) -> Tensor:
        """The loss of one chunk, a scalar.

        actions  float [K, slots], a chunk in the network's own space (see `sample`); noise has the same shape
        time     float [], 0 noise ... 1 data

        Raises `SettingsError` as `sample` does.
        """
        if time.numel() != 1:
            raise SettingsError(f"time has shape {list(time.shape)}: one chunk has one time")
        clean, noise = self._chunk("actions", actions)[None, None], self._chunk("noise", noise)[None, None]
        kept = self._kept(pixel_values, dropped)
        reading = self.read(self.look(pixel_values[None])[:, kept], None, self._rows_of(game))
        return self._flow_loss(clean, torch.ones_like(clean), noise, time.reshape(1, 1).to(self.device, torch.float32), reading)

    @torch.no_grad()
    def sample(
        self,
        pixel_values: Tensor,
        dropped: Tensor | None = None,
        game: str | None = None,
        noise: Tensor | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """A chunk float32 [K, slots] in the network's own space, not clipped; `ghostpad.base.pad.from_unit` makes pads of NitroGen's.

        pixel_values  float [F, 3, side, side], frames scaled to -1...1, oldest first; for policies with a SigLIP encoder
        dropped       bool [F], frames to leave out (guidance compares with the newest one nevertheless)
        game          one of `games`, or None
        noise         float [K, slots] to start from (by default drawn by torch's own generator)
        steps         Euler steps, guidance: see `act_from` (by default those of the settings)

        Tensors may be on any device and of any floating type; the chunk is on the policy's device. Raises `SettingsError` for an
        unknown game, wrong shapes or types, or too many frames.
        """
        start = torch.randn(self.settings.chunk, len(self.slots)) if noise is None else noise
        kept = self._kept(pixel_values, dropped)
        return self._draw(self.look(pixel_values[None]), self._chunk("noise", start)[None, None], game, steps, guidance, kept)[0, 0]

    @torch.no_grad()
    def sample_batch(
        self, pixel_values: Tensor, noise: Tensor, game: str | None = None, steps: int | None = None, guidance: float | None = None
    ) -> Tensor:
        """`sample` for many at once: chunks [B, K, slots] of frames [B, F, 3, side, side], none dropped, and noise [B, K, slots]."""
        return self._draw(self.look(pixel_values), noise.unsqueeze(1), game, steps, guidance).squeeze(1)

    @torch.no_grad()
    def act(self, frames: Tensor, generator: torch.Generator, game: str | None = None) -> Tensor:
        """Pads float32 [B, K, 25] for frames uint8 [B, T, H, W, C]: buttons 0...1, sticks -1...1, slots it does not play 0."""
        return self.act_from(frames, self.draw_noise(len(frames), generator), game)

    def draw_noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Noise float32 [count, K, slots] for `act_from`, on the generator's device."""
        return torch.randn((count, self.settings.chunk, len(self.slots)), generator=generator, device=generator.device)

    @torch.no_grad()
    def act_from(
        self, frames: Tensor, noise: Tensor, game: str | None = None, steps: int | None = None, guidance: float | None = None
    ) -> Tensor:
        """`act` from the noise float32 [B, K, slots], so that each sample can have its own random generator.

        With `guidance` g the velocity is v + g (v - v'), where v' sees the newest frame only and no game.
        """
        return self.act_draws(frames, noise.unsqueeze(1), game, steps, guidance).squeeze(1)

    @torch.no_grad()
    def act_draws(
        self, frames: Tensor, noise: Tensor, game: str | None = None, steps: int | None = None, guidance: float | None = None
    ) -> Tensor:
        """`act_from` for several draws [B, draws, K, slots] of noise on each sample; its frames are encoded once."""
        values = self._draw(self._images(frames), noise.to(frames.device), game, steps, guidance)
        pads = torch.zeros(*values.shape[:-1], PAD_DIM, device=values.device)
        pads[..., self.slot_at] = self.space.to_pads(values)
        return pads

    def _make_encoder(self) -> ConvEncoder | SiglipEncoder:
        s = self.settings
        if s.encoder == "conv":
            channels = len(s.frame_offsets) * (1 if s.gray else 3)
            return ConvEncoder(channels, s.width_px, s.height_px, s.dim, s.conv_width)
        encoder = SiglipEncoder(len(s.frame_offsets), s.siglip, self.facts.get("siglip_config"), s.freeze_encoder, s.frame_marks)
        self.facts = self.facts | {"siglip_config": encoder.config}  # so that loading a checkpoint does not fetch the weights again
        return encoder

    def _images(self, frames: Tensor) -> Tensor:
        """Image tokens [B, F, P, dim] of frames [B, T, H, W, C] of 0...255; the conv encoder makes one picture of all (F = 1)."""
        with self.precision():
            tokens: Tensor = self.encoder(frames)
        return tokens.unflatten(1, (1 if isinstance(self.encoder, ConvEncoder) else frames.shape[1], -1))

    def _chunk(self, name: str, values: Tensor) -> Tensor:
        """A caller's chunk [K, slots] as float32 on the policy's device. Raises `SettingsError` for another shape or type."""
        shape = [self.settings.chunk, len(self.slots)]
        if list(values.shape) != shape or not values.is_floating_point():
            raise SettingsError(f"{name} has shape {list(values.shape)} ({values.dtype}): a chunk of this policy is {shape}, of floats")
        return values.to(self.device, torch.float32)

    def _kept(self, frames: Tensor, dropped: Tensor | None) -> Tensor:
        """Which of the frames [F, ...] of `sample` are not dropped, bool [F]. Raises `SettingsError` for another shape or type, or none."""
        if dropped is None:
            return torch.ones(len(frames), dtype=torch.bool, device=self.device)
        if dropped.dtype != torch.bool or dropped.shape != frames.shape[:1] or dropped.all():
            raise SettingsError(f"dropped is {dropped.tolist()}: give one truth for each of {len(frames)} frames, not all true")
        return ~dropped.to(self.device)

    def look(self, pixels: Tensor) -> Tensor:
        """Image tokens [B, F, P, dim] of scaled frames [B, F, 3, side, side]. Raises `SettingsError` for other shapes or a conv encoder."""
        if not isinstance(self.encoder, SiglipEncoder):
            raise SettingsError("this policy has a conv encoder, which takes frames of 0...255: use act_from")
        side = self.encoder.side_px
        if pixels.ndim != 5 or pixels.shape[2:] != (3, side, side) or not pixels.shape[1]:
            raise SettingsError(f"frames have shape {list(pixels.shape[1:])}: those of this policy are [F, 3, {side}, {side}]")
        if not pixels.is_floating_point():
            raise SettingsError(f"frames are {pixels.dtype}: give floats, scaled to -1...1 (bytes / 127.5 - 1)")
        with self.precision():
            return self.encoder.look(pixels.flatten(0, 1).to(next(self.parameters()))).unflatten(0, pixels.shape[:2])

    def conditioning(self, game: str | None) -> str | None:
        """The game to condition on when it plays `game`: that, or None where it does not know it or guidance excludes it."""
        return game if game in self.games and (self.settings.guide_game or not self.settings.guidance) else None

    def _rows_of(self, game: str | None, count: int = 1) -> Tensor | None:
        """Rows of the table of games int64 [count] for one game by name; None for none."""
        if game is None:
            return None
        if game not in self.games:
            if self.games:
                raise unknown("game of this policy", game, self.games)
            raise SettingsError(f"this policy is not conditioned on the game: leave '{game}' out")
        return torch.full((count,), self.games[game], device=self.device)

    def _draw_games(self, names: Sequence[str], generator: torch.Generator) -> Tensor | None:
        """Rows of the games of training samples, 0 for unknown games and for the share `drop_game`."""
        if not self.games:
            return None
        rows = send([self.games.get(name, 0) for name in names], self.device)
        if self.settings.drop_game and self.training:
            rows = rows * (rand((len(names),), generator).to(rows.device) >= self.settings.drop_game)
        return rows

    def _draw_kept(self, images: Tensor, generator: torch.Generator) -> Tensor | None:
        """Which frames of training samples are kept, bool [B, F]: all, or for the share `drop_frames` the newest only."""
        share, (count, frames) = self.settings.drop_frames, images.shape[:2]
        if not share or frames == 1 or not self.training:
            return None
        newest = torch.arange(frames, device=images.device) == frames - 1
        return newest | (rand((count, 1), generator).to(images.device) >= share)

    def read(self, images: Tensor, kept: Tensor | None = None, games: Tensor | None = None) -> Reading:
        """What the denoiser needs of image tokens [B, F, P, dim], the same at every step; for the others see `ContextRow`."""
        row, mask = self.context(images, kept, games)
        return self.denoiser.read(self.mixer(row, mask), mask)

    def _draw(
        self, images: Tensor, noise: Tensor, game: str | None, steps: int | None, guidance: float | None, kept: Tensor | None = None
    ) -> Tensor:
        """Chunks [B, draws, K, slots] from noise of that shape; `kept`, bool [F], is False for dropped frames."""
        s, games = self.settings, self._rows_of(game, len(images))
        strength, steps = s.guidance if guidance is None else guidance, s.sampling_steps if steps is None else steps
        if steps < 1:
            raise SettingsError(f"steps is {steps}: it must be 1 or more")
        if strength and game is not None and not s.guide_game:
            raise SettingsError(f"the reference does not combine guidance and a game ('{game}'): set guide_game, or leave one of them out")

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            full = self.velocity(x, time, reading)
            return full if newest is None else full + strength * (full - self.velocity(x, time, newest))

        with self.precision():  # around all steps, so that weights are converted once
            reading = self.read(images if kept is None else images[:, kept], None, games)
            newest = self.read(images[:, -1:], None, None) if strength else None
            return sample(velocity, noise, steps)

    def _flow_loss(self, clean: Tensor, weight: Tensor, noise: Tensor, time: Tensor, reading: Reading) -> Tensor:
        """The weighted mean squared error of the velocity at `time` between `noise` and `clean`."""
        noisy, wanted = make_path(torch.where(weight > 0, clean, noise), noise, time)
        return velocity_loss(self.velocity(noisy, time, reading), wanted, weight)

    def velocity(self, noisy: Tensor, time: Tensor, reading: Reading) -> Tensor:
        """Velocity [B, draws, K, slots] at the noisy rows of that shape."""
        rows = noisy.unflatten(2, (-1, self.settings.token_rows)).flatten(3)
        tokens = self.embed(rows, self.denoiser.time.ticks(time))
        if self.position is not None:
            tokens = tokens + self.position[: tokens.shape[2]]
        return self.to_velocity(self.denoiser(tokens, time, reading)).view_as(noisy)

    def precision(self) -> AbstractContextManager[object]:
        """The context to compute in: bfloat16 after `quicken`, else as it is outside."""
        return lower_precision(self.device, self.bf16)
