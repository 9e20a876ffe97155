"""Stage 4, the agent: frames in, a chunk of pads out, learned by flow matching and measured by playing.

Importing this package is cheap; both functions import torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ghostpad.policy.model import Policy


def load(run: str | Path) -> "Policy":
    """The finished policy of a run folder, in evaluation mode on the CPU; `.to("cuda")` moves it.

    Raises `MissingError` if there is no run or it is not finished, and `FormatError` for another kind of model, another pad layout,
    or broken weights.

    >>> policy = ghostpad.load_policy("runs/agent")
    >>> frames = torch.zeros(1, 2, 72, 96, 1, dtype=torch.uint8)  # gray, of the size, number and spacing in `policy.window`
    >>> policy.act(frames, torch.Generator()).shape  # the next 8 rows of the pad
    torch.Size([1, 8, 25])
    """
    from ghostpad.policy.model import Policy  # here, because torch takes seconds to import
    from ghostpad.train.checkpoint import load_model

    return load_model(run, Policy)


def from_nitrogen(path_to_ng_pt: str | Path, games: Mapping[str | None, int] | None = None, heads: int | None = None) -> "Policy":
    """The policy of a checkpoint of NitroGen, in evaluation mode on the CPU; the same function as the reference's.

    games  name -> id of the games it is conditioned on, as in its training (NitroGen's file lacks the names); id 0 is "none"
    heads  attention heads of the vision tower, needed where its configuration is not found and no published tower has its width

    >>> policy = ghostpad.policy.from_nitrogen("ng.pt")
    >>> chunk = policy.sample(torch.zeros(1, 3, 64, 64))  # [K, 25], from frames scaled to -1...1; ghostpad.base.pad.from_unit makes pads

    The file must stay as it is while the policy is in use. Raises `MissingError`, `FormatError` for a file that is not such a
    checkpoint, listing every tensor that does not fit, `SettingsError` for games that its table has no rows for.
    """
    from ghostpad.policy.nitrogen.checkpoint import load_nitrogen  # here, because torch takes seconds to import

    return load_nitrogen(path_to_ng_pt, games, heads)
