"""`ghostpad import nitrogen` and `ghostpad export nitrogen`: NitroGen's checkpoints as runs, and runs as its checkpoints."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import read_json
from ghostpad.cli.arguments import RunPath

_Checkpoint = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NG_PT", help="NitroGen's checkpoint, ng.pt.")]


def import_nitrogen(checkpoint: _Checkpoint, *, out: Path, games: Path | None = None, heads: int | None = None) -> None:
    """Turn NitroGen's checkpoint into a run folder, to play, evaluate and fine-tune like any other.

    Writes --out. Loads the file safely (no code in it runs), accounts for every tensor, downloads nothing. NitroGen's weights are
    NVIDIA's, for non-commercial research only, and so is everything made from them: run.json says so.

    Args:
        out: The run folder to write.
        games: A JSON file {"name": id} of the games that the checkpoint knows, if it was trained on several.
        heads: Attention heads of the vision tower, if its configuration and width do not give them (large: 16).
    """
    ids = None if games is None else _games(games)
    from ghostpad.policy.nitrogen.checkpoint import import_nitrogen as work  # here, because torch takes seconds to import

    policy = work(checkpoint, out, ids, heads)
    s, count = policy.settings, sum(weight.numel() for weight in policy.parameters())
    print(
        f"{out}: {count / 1e6:.1f} million weights of {checkpoint}; chunks of {s.chunk} rows from {len(s.frame_offsets)} "
        f"frame{'s' * (len(s.frame_offsets) > 1)} of {s.width_px}x{s.height_px}, {s.sampling_steps} steps, {len(policy.games)} games"
    )
    print(f"licences, also of what is made from it: {'; '.join(policy.facts['licences'])}")


def export_nitrogen(run: RunPath, checkpoint: _Checkpoint) -> None:
    """Write a policy that came from NitroGen, fine-tuned or not, as a checkpoint that NitroGen's own code loads.

    Writes NG_PT. One that was not trained on comes out as it went in: the same keys, types, configuration and bits.
    """
    from ghostpad.policy.nitrogen.checkpoint import export_nitrogen as work  # here, because torch takes seconds to import

    work(run, checkpoint)
    print(checkpoint)


def _games(path: Path) -> dict[str | None, int]:
    ids = read_json(path)
    if not isinstance(ids, dict) or not all(type(id) is int for id in ids.values()):
        raise SettingsError(f'{path} does not hold names and ids: write {{"name": 1, ...}}')
    return dict(ids)
