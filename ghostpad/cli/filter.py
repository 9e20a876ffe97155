"""`ghostpad filter`: choose which pseudo-labels to trust."""

from json import dumps

from ghostpad.base.errors import MissingError
from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import ENGINE, Flags, SettingFlags, engine_settings
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.rows import label_source
from ghostpad.filters.apply import filter_corpus
from ghostpad.filters.contract import cuts_class, make_filters

_CUTS = Flags(cuts_class()())


def filter_labels(
    corpus: CorpusPath,
    *,
    labels: str = "latest",
    name: str = "default",
    skip: tuple[str, ...] = (),
    json: bool = False,
    engine: SettingFlags = ENGINE,
    settings: SettingFlags = _CUTS,
) -> None:
    """Judge every pseudo-label and print how many hours are kept, dropped by which filter, and broken.

    Writes verdicts/<name>.parquet and changes no pseudo-label: run it again to try another cut.

    Args:
        labels: Which pseudo-labels: idm-<fingerprint>, or latest.
        name: A name for the verdicts; training reads 'default' unless --data.verdicts names others.
        skip: Filters to leave out, by name.
        json: Print JSON instead.
    """
    cuts, placed = load_settings(cuts_class(), None, settings.values), engine_settings(engine)
    opened = Corpus.open(corpus)
    source = label_source(opened, labels)
    if source is None:
        raise MissingError(f"{corpus} has no pseudo-labels to filter: run 'ghostpad label {corpus} --idm RUN' first")
    funnel = filter_corpus(opened, source, make_filters(cuts, skip), name, placed)
    print(dumps(funnel.as_dict(), indent=2) if json else f"{corpus}: verdicts {name}\n{funnel.table()}")
