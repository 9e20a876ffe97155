"""Where a model's knowledge comes from: facts about corpora that travel in every checkpoint."""

from collections.abc import Sequence
from typing import Any

from ghostpad.corpus.folder import Corpus

FACTS = {"games": "game", "players": "player", "fps": "fps", "sources": "source", "licences": "licence"}
"""Facts and the columns of the table of videos that they come from."""


def corpus_facts(corpora: Sequence[Corpus]) -> dict[str, Any]:
    """The games, players, frame rates, sources and licences of the footage in `corpora`, each sorted; JSON-able."""
    rows = [row for corpus in corpora for row in corpus.rows() if row["status"] == "ok"]
    return {fact: sorted({row[column] for row in rows if row[column] is not None}) for fact, column in FACTS.items()}
