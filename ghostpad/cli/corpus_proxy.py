"""`ghostpad corpus proxy`: the copy of a corpus that training reads."""

from pathlib import Path
from typing import TYPE_CHECKING

from ghostpad.base.errors import SettingsError, unknown
from ghostpad.base.files import read_json
from ghostpad.base.settings import build_settings, load_settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import ENGINE, SettingFlags, engine_settings
from ghostpad.corpus.folder import Corpus, unreadable_lines
from ghostpad.idm.settings import IdmRun, IdmSettings
from ghostpad.policy.settings import PolicyRun, PolicySettings

if TYPE_CHECKING:
    from ghostpad.feed.window import WindowSpec


def proxy(corpus: CorpusPath, *, like: str = "idm", recipe: Path | None = None, engine: SettingFlags = ENGINE) -> int:
    """Make the copy of the videos that training reads: small, quick to read at any place, with the recorded rows beside it.

    Writes segments/<picture>/ in the corpus: each video at a model's size and frame rate, with drawn controllers masked and a keyframe
    every 4 frames, in about a fiftieth of the disk that decoded pictures take. A training on the corpus finds it by itself, with
    pictures of that size. Safe to interrupt: re-run to resume, and after adding footage. Exit status: 1 if a video cannot be read.

    Args:
        like: Whose pictures: 'idm' or 'policy', with the default settings or those of --recipe, or the folder of a run.
        recipe: A TOML file of settings of that model, as 'train' takes it.
    """
    settings, opened, spec = engine_settings(engine), Corpus.open(corpus), _window(like, recipe)
    from ghostpad.feed.make_segments import make_segments  # here, because torch takes seconds to import

    counts = make_segments(opened, spec, settings)
    made = f"{counts.made} videos ({counts.minutes:.1f} min) made, {counts.present} made before"
    print(f"{corpus}: segments of {spec.picture}: {made}", *unreadable_lines(corpus, counts.unreadable), sep="\n")
    return 1 if counts.unreadable else 0


def _window(like: str, recipe: Path | None) -> "WindowSpec":
    """What a kind of model, or the model of a run, sees."""
    from ghostpad.idm.model import idm_window  # here, because torch takes seconds to import
    from ghostpad.policy.model import policy_window

    if like == "idm":
        return idm_window(load_settings(IdmRun, recipe, {}).model)
    if like == "policy":
        return policy_window(load_settings(PolicyRun, recipe, {}).model)
    if not (path := Path(like) / "run.json").exists():
        raise unknown("model or run", like, ["idm", "policy"])
    if recipe is not None:
        raise SettingsError(f"the run {like} has settings of its own: leave --recipe out")
    run = read_json(path)
    if run["kind"] == "idm":
        return idm_window(build_settings(IdmSettings, run["model"], str(path)))
    return policy_window(build_settings(PolicySettings, run["model"], str(path)))
