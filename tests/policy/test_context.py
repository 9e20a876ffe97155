"""The row of context tokens against a plain reading of the rule: game, then kept frames, oldest first, zeros on the left."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import SettingsError
from ghostpad.policy.context import ContextRow, name_games
from ghostpad.policy.settings import PolicySettings

DIM = 6


def row_of(**changes: object) -> ContextRow:
    torch.manual_seed(0)
    return ContextRow(PolicySettings(**changes), DIM)


@settings(max_examples=60)
@given(
    kept=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4),
    patches=st.integers(1, 3),
    games=st.booleans(),
    spare=st.integers(0, 4),
    masked=st.booleans(),
)
def test_against_the_rule(kept: list[list[bool]], patches: int, games: bool, spare: int, masked: bool) -> None:
    longest = max(map(sum, kept)) * patches + games
    length = longest + spare
    row = row_of(game_rows=4 if games else 0, context_tokens=length, mask_padding=masked)
    images = torch.randn(len(kept), 3, patches, DIM)
    told = torch.arange(len(kept)) % 4 if games else None
    found, mask = row(images, torch.tensor(kept), told)
    for place, frames in enumerate(kept):
        tokens = [] if row.games is None else [row.games.weight[place % 4]]
        tokens += [token for frame, keep in zip(images[place], frames, strict=True) if keep for token in frame]
        padding = (length or 3 * patches + games) - len(tokens)
        wanted = torch.stack([torch.zeros(DIM)] * padding + tokens) if padding + len(tokens) else torch.zeros(0, DIM)
        assert torch.equal(found[place], wanted)
        assert (mask is not None) == (masked or not length)
        if mask is not None:
            assert mask[place].tolist() == [False] * padding + [True] * len(tokens)


def test_without_games_padding_and_dropped_frames_the_tokens_are_the_row() -> None:
    images = torch.randn(2, 1, 5, DIM)
    found, mask = row_of()(images, None, None)
    assert torch.equal(found, images[:, 0]) and mask is None and not list(row_of().parameters())


def test_more_tokens_than_the_row_is_long_are_refused() -> None:
    images, kept = torch.randn(2, 2, 4, DIM), torch.tensor([[True, True], [False, True]])
    with pytest.raises(SettingsError, match="9 tokens of frames and game do not fit a row of 8"):
        row_of(context_tokens=8, game_rows=2)(images, kept, None)
    assert row_of(context_tokens=5, game_rows=2)(images[1:], kept[1:], None)[0].shape == (1, 5, DIM)


def test_games_get_rows_in_order_unless_the_facts_say_which() -> None:
    some = PolicySettings(game_rows=5)
    assert name_games(some, {"games": ["racing", "doom"]}) == {"doom": 1, "racing": 2}
    assert name_games(some, {"games": ["racing"], "game_ids": {"doom": 4}}) == {"doom": 4}
    assert name_games(PolicySettings(), {"games": ["racing"]}) == {} == name_games(some, {})
    for wrong in (0, 5, -1):
        with pytest.raises(SettingsError, match="do not lie in 1...4"):
            name_games(some, {"game_ids": {"doom": wrong}})


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, ghostpad.policy, ghostpad.policy.settings; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "False"
