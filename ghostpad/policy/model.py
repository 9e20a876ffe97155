"""The policy: frames up to the one now shown in, a chunk of pads out, learned by flow matching.

    frames -> encoder -> image tokens -> self-attention mixer -> read once by every cross-attention block of the denoiser
    noise  -> action tokens (`token_rows` rows each) -> denoiser -> velocity -> ... -> rows i ... i+K-1

Only the slots of `facts["slots"]` (those the game reads) are in the vector; buttons are -1...1 inside the flow, like sticks.
A number of weight 0 is replaced by noise, so neither the loss nor the rest of the chunk can depend on it.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import BUTTONS, PAD_DIM, slot
from ghostpad.base.settings import Settings
from ghostpad.feed.batch import Batch
from ghostpad.feed.window import WindowSpec
from ghostpad.nn.distributed import randn
from ghostpad.nn.flow import draw_times, make_path, sample, velocity_loss
from ghostpad.nn.frames import ConvEncoder, SiglipEncoder, shake
from ghostpad.nn.transformer import Block, Denoiser, KeysValues
from ghostpad.policy.settings import PolicySettings
from ghostpad.train.model import Model


def policy_window(settings: PolicySettings) -> WindowSpec:
    """The window of a policy of these settings, known before the policy is built."""
    s = settings
    return WindowSpec(s.frame_offsets, tuple(range(s.chunk)), s.width_px, s.height_px, s.gray)


class Policy(Model):
    """A flow-matching policy. `facts["slots"]` names the pad slots it plays; `SettingsError` without it."""

    kind: ClassVar[str] = "policy"
    settings_class: ClassVar[type[Settings]] = PolicySettings
    settings: PolicySettings

    def __init__(self, settings: PolicySettings, facts: dict[str, Any]):
        super().__init__(settings, facts)
        if not facts.get("slots"):
            raise SettingsError("a policy needs facts['slots'], the names of the pad slots it plays")
        self.slots = [slot(name) for name in facts["slots"]]
        self.encoder = self._make_encoder()
        self.mixer = nn.Sequential(*(Block(self.encoder.dim, settings.heads) for _ in range(settings.mixer_depth)))
        numbers, tokens = settings.token_rows * len(self.slots), settings.chunk // settings.token_rows
        self.embed = nn.Linear(numbers, settings.dim)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, settings.dim))
        self.denoiser = Denoiser(settings.dim, settings.heads, settings.depth, self.encoder.dim)
        self.to_velocity = nn.Linear(settings.dim, numbers)
        nn.init.zeros_(self.to_velocity.weight)

    @property
    def window(self) -> WindowSpec:
        """Frames up to the one now shown, and the `chunk` rows from it on; the rate is the video's own."""
        return policy_window(self.settings)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean squared error of the velocity, over `draws` noisy versions of every sample."""
        s = self.settings
        clean = self._to_flow(batch.pads[..., self.slots]).unsqueeze(1)
        weight = batch.weight[..., self.slots].unsqueeze(1)
        shape = (len(clean), s.draws, s.chunk, len(self.slots))
        noise = randn(shape, generator).to(clean.device)
        time = draw_times(shape[:2], s.time_alpha, generator).to(clean.device)
        noisy, wanted = make_path(torch.where(weight > 0, clean, noise), noise, time)
        reading = self._read(shake(batch.frames, s.shift_px, s.light, generator))
        loss = velocity_loss(self._velocity(noisy, time, reading), wanted, weight)
        return loss, {"velocity_error": loss.detach()}

    @torch.no_grad()
    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Pads float32 [B, K, 25] for frames uint8 [B, T, H, W, C]: buttons 0...1, sticks -1...1, slots it does not play 0."""
        return self.act_from(frames, self.draw_noise(len(frames), generator))

    def draw_noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Noise float32 [count, K, slots] for `act_from`, on the generator's device."""
        return torch.randn((count, self.settings.chunk, len(self.slots)), generator=generator, device=generator.device)

    @torch.no_grad()
    def act_from(self, frames: Tensor, noise: Tensor) -> Tensor:
        """`act` with the noise given, so that each sample can have its own source of chance."""
        reading = self._read(frames)

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            return self._velocity(x, time, reading)

        values = sample(velocity, noise.to(frames.device).unsqueeze(1), self.settings.sampling_steps).squeeze(1)
        pads = torch.zeros(*values.shape[:2], PAD_DIM, device=values.device)
        pads[..., self.slots] = self._from_flow(values.float().clamp(-1, 1))
        return pads

    def _make_encoder(self) -> ConvEncoder | SiglipEncoder:
        s = self.settings
        if s.encoder == "conv":
            channels = len(s.frame_offsets) * (1 if s.gray else 3)
            return ConvEncoder(channels, s.width_px, s.height_px, s.dim, s.conv_width)
        encoder = SiglipEncoder(len(s.frame_offsets), s.siglip, self.facts.get("siglip_config"), s.freeze_encoder)
        self.facts = self.facts | {"siglip_config": encoder.config}  # a checkpoint is then read without fetching the weights again
        return encoder

    def _read(self, frames: Tensor) -> list[KeysValues | None]:
        return self.denoiser.read(self.mixer(self.encoder(frames)))

    def _velocity(self, noisy: Tensor, time: Tensor, reading: list[KeysValues | None]) -> Tensor:
        """Velocity [B, draws, K, slots] at the noisy rows of that shape."""
        rows = noisy.unflatten(2, (-1, self.settings.token_rows)).flatten(3)
        tokens = self.denoiser(self.embed(rows) + self.position, time, reading)
        return self.to_velocity(tokens).view_as(noisy)

    def _to_flow(self, values: Tensor) -> Tensor:
        """Buttons 0...1 to -1...1; sticks stay."""
        return torch.where(self._is_button(values), 2 * values - 1, values)

    def _from_flow(self, values: Tensor) -> Tensor:
        return torch.where(self._is_button(values), (values + 1) / 2, values)

    def _is_button(self, values: Tensor) -> Tensor:
        return torch.tensor([index < len(BUTTONS) for index in self.slots], device=values.device)
