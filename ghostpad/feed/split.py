"""Which videos are held out of training: whole videos, and the same ones every time."""

import hashlib
from collections.abc import Sequence


def split_videos(videos: Sequence[str], held_out_share: float) -> tuple[list[str], list[str]]:
    """(learned, held out) of `videos`, each in the order given.

    The videos with the smallest hash of their id are held out, so adding a video moves few others. At least one is held out
    if the share is above 0 and there are two or more.
    """
    wanted = round(held_out_share * len(videos))
    if held_out_share > 0 and len(videos) >= 2:
        wanted = min(max(1, wanted), len(videos) - 1)
    chosen = set(sorted(videos, key=lambda id: hashlib.sha256(id.encode()).hexdigest())[:wanted])
    return [id for id in videos if id not in chosen], [id for id in videos if id in chosen]
