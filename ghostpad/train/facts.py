"""Where a model's knowledge comes from: facts about corpora that are kept in every run."""

from collections.abc import Sequence
from typing import Any

from ghostpad.corpus.folder import Corpus

FACTS = {"games": "game", "players": "player", "fps": "fps", "sources": "source", "licences": "licence"}
"""By fact, the column of the table of videos that it comes from."""


def corpus_facts(corpora: Sequence[Corpus]) -> dict[str, Any]:
    """The games, players, frame rates, sources and licences of the footage in `corpora`, each sorted; JSON-able."""
    videos = [video for corpus in corpora for video in corpus.list_videos() if video.status == "ok"]
    return {fact: sorted({value for video in videos if (value := getattr(video, column)) is not None}) for fact, column in FACTS.items()}
