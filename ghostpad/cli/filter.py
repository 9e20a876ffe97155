"""`ghostpad filter`: say which labelled rows to believe, and count the hours."""

from json import dumps
from typing import Annotated

import tyro

from ghostpad.base.errors import MissingError
from ghostpad.base.settings import Settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import label_source
from ghostpad.filters.apply import filter_corpus
from ghostpad.filters.contract import cuts_class, make_filters

_Cuts = cuts_class()


def filter_labels(
    corpus: CorpusPath,
    cuts: Annotated[Settings, tyro.conf.arg(name="", constructor=_Cuts)] = _Cuts(),  # noqa: B008  (frozen)
    *,
    labels: str = "latest",
    name: str = "default",
    skip: tuple[str, ...] = (),
    json: bool = False,
) -> None:
    """Judge every labelled row and print how many hours are kept, dropped by which filter, and broken.

    Writes verdicts/<name>.parquet and nothing else: labels stay as they are, and the same command with another cut judges
    them again.

    Args:
        labels: Whose rows: idm-<fingerprint>, or latest.
        name: What to call the verdicts; training reads those called default.
        skip: Filters to leave out, by name.
        json: Print JSON for programs instead of lines for people.
    """
    opened = Corpus.open(corpus)
    source = label_source(opened, labels)
    if source is None:
        raise MissingError(f"{corpus} has no labels to filter: run 'ghostpad label {corpus} --idm RUN' first")
    funnel = filter_corpus(opened, source, make_filters(cuts, skip), name)
    print(dumps(funnel.as_dict(), indent=2) if json else f"{corpus}: verdicts {name}\n{funnel.table()}")
