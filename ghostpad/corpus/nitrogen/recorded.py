"""The recorded rows of a video of the NitroGen dataset: all its chunks in one file, actions/recorded/<video>.parquet.

The stretches of all chunks are stored with the rows (fact "chunks"): so chunks can be joined in any number of runs, the file does not
depend on how they were split, and what a file lacks can be seen from its last bytes.
"""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.records import ACTIONS, read_table, table_facts
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.chunk import Chunk
from ghostpad.corpus.nitrogen.timeline import Stretch, keep_first


def join(corpus: Corpus, video: str, chunks: Sequence[Chunk], labels: str) -> None:
    """Join good chunks to the rows that their video has already; of two with one number the first stays.

    Raises `SettingsError` if the rows came from elsewhere. Two processes that do this to one video at the same moment may lose the
    chunks of one of them: see `lacking`.
    """
    old, stretches = _joined(corpus, video, labels)
    tables = [old]
    for chunk in chunks:
        if chunk.row["chunk"] not in stretches:
            stretches[chunk.row["chunk"]] = Stretch(chunk.row["start_s"], chunk.row["duration_s"], chunk.row["rows"])
            tables.append(chunk.actions)
    spans = json.dumps([[number, *stretches[number]] for number in sorted(stretches)])
    facts = {"dataset": "nvidia/NitroGen", "licence": "CC BY-NC 4.0", "labels": labels, "chunks": spans}
    corpus.write_actions(RECORDED, video, keep_first(pa.concat_tables(tables), stretches).cast(ACTIONS).combine_chunks(), facts)


def lacking(corpus: Corpus, video: str, chunks: set[int]) -> set[int]:
    """Which of these chunks are not in the video's file: all, if it is gone or was cut short; none, if its rows came from elsewhere since.

    Reads the end of the file.
    """
    facts = _facts(corpus, video)
    return set() if facts is not None and "labels" not in facts else chunks - _stretches(facts).keys()


def _joined(corpus: Corpus, video: str, labels: str) -> tuple[pa.Table, dict[int, Stretch]]:
    """A video's rows so far, without metadata, and the chunks that they came in; none of either, if its file is gone or damaged."""
    try:
        old = read_table(corpus.actions_path(RECORDED, video), "actions")
    except MissingError:
        return ACTIONS.empty_table(), {}
    except FormatError:
        old = None
    facts = _facts(corpus, video) if old is None else table_facts(old)
    if facts is not None and facts.get("labels") != labels:
        raise SettingsError(
            f"{corpus.root} has recorded rows of video '{video}' that are not NitroGen's {labels} labels: use another folder"
        )
    return (ACTIONS.empty_table(), {}) if old is None else (old.replace_schema_metadata(None), _stretches(facts))


def _stretches(facts: Mapping[str, str] | None) -> dict[int, Stretch]:
    return {number: Stretch(*rest) for number, *rest in json.loads((facts or {}).get("chunks", "[]"))}


def _facts(corpus: Corpus, video: str) -> dict[str, str] | None:
    """The facts of a video's recorded rows; None if there is no file, or none with a parquet file's end."""
    try:
        with corpus.actions_path(RECORDED, video).open("rb") as file:
            return table_facts(pq.read_schema(file).empty_table())
    except (FileNotFoundError, pa.ArrowException):
        return None
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the format
            raise
        return None
