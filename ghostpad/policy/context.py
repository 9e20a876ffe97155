"""The row of tokens that the denoiser reads: the game's token, then the image tokens of the frames that were not dropped.

As in the reference (NitroGen): oldest frame first, padded on the left with zeros to a fixed length. The reference's attention does not
mask the padding; `mask_padding` is the correction, without which NitroGen's weights were trained. Where rows are not padded
(`context_tokens` 0), the zeros in place of a dropped frame are masked.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ghostpad.base.errors import SettingsError
from ghostpad.policy.settings import PolicySettings


class ContextRow(nn.Module):
    """Arranges image tokens of `dim` in one row. Its only weights are the table of games, in a policy that is conditioned on the game."""

    def __init__(self, settings: PolicySettings, dim: int):
        super().__init__()
        self.length, self.masked = settings.context_tokens, settings.mask_padding or not settings.context_tokens
        self.games = nn.Embedding(settings.game_rows, dim, padding_idx=0) if settings.game_rows else None

    def forward(self, images: Tensor, kept: Tensor | None, games: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The row [B, S, dim] and its mask, bool [B, S], or None where all of it is valid.

        images  [B, F, P, dim], P tokens of every frame, oldest first
        kept    bool [B, F], False for a dropped frame, or None if all are kept
        games   int64 [B], rows of the table of games, or None for no game

        Raises `SettingsError` for more tokens than the row is long.
        """
        row = images.flatten(1, 2)
        valid = row.new_ones(row.shape[:2], dtype=torch.bool) if kept is None else kept.repeat_interleave(images.shape[2], 1)
        if self.games is not None:
            games = valid.new_zeros(len(row), dtype=torch.long) if games is None else games
            row = torch.cat([self.games(games)[:, None], row], 1)
            valid = torch.cat([valid.new_ones(len(row), 1), valid], 1)
        if kept is not None:
            row, valid = _to_the_right(row, valid)
        if self.length:
            row, valid = self._fit(row, valid)
        needed = self.masked and (kept is not None or self.length > 0)
        return row, valid if needed else None

    def _fit(self, row: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        spare = self.length - row.shape[1]
        if spare < 0 and valid[:, :-spare].any():
            raise SettingsError(
                f"{int(valid.sum(1).max())} tokens of frames and game do not fit a row of {self.length} (context_tokens): "
                "give fewer frames, or drop some"
            )
        before = (spare, 0)  # a negative padding cuts
        return nn.functional.pad(row, (0, 0, *before)), nn.functional.pad(valid, before)


def name_games(settings: PolicySettings, facts: dict[str, Any]) -> dict[str, int]:
    """The games a policy is conditioned on, name -> row: the facts' `game_ids`, else their `games` in order, from row 1 on.

    Raises `SettingsError` for a game without a row.
    """
    rows = settings.game_rows
    numbered = {name: row for row, name in enumerate(sorted(facts.get("games", ())), 1)}
    games: dict[str, int] = facts.get("game_ids", numbered) if rows else {}
    if wrong := {name: row for name, row in games.items() if not 0 < row < rows}:
        raise SettingsError(f"the table of games has {rows} rows (game_rows), the first for none: {wrong} do not lie in 1...{rows - 1}")
    return games


def _to_the_right(row: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """The valid tokens at the right end, in their order, and zeros before them."""
    order = valid.long().argsort(dim=1, stable=True)
    valid = valid.gather(1, order)
    return row.gather(1, order[..., None].expand_as(row)) * valid[..., None], valid
