"""The commands that the demo and the studies run can be read: every word of theirs is a flag or a value that the command knows."""

from collections.abc import Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ghostpad.cli.demo import Demo, _tasks
from ghostpad.cli.main import COMMANDS, main
from ghostpad.cli.tasks import Task
from ghostpad.lab.study.pseudo_labels.plan import PARTS, Scale, units_of
from ghostpad.lab.study.pseudo_labels.run import PseudoLabelStudy, planned_tasks


def demo_tasks(out: Path) -> list[Task]:
    return _tasks(Demo("doom", out, (0, 1), 40))


def pseudo_label_tasks(out: Path) -> list[Task]:
    study = PseudoLabelStudy(out, (0,), tuple(PARTS), Scale())
    return [task for units in units_of(PARTS, study.scale, study.seeds).values() for task in planned_tasks(study, units)]


@pytest.mark.parametrize("tasks_of", [demo_tasks, pseudo_label_tasks])
def test_every_command_can_be_read(tasks_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[tuple[str, ...], Task] = {}  # one of each kind: reading a thousand takes a minute
    for task in tasks_of(tmp_path):
        kinds.setdefault((task.stage, *_flags(task.words)), task)
    told: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    for stage in {task.stage for task in kinds.values()}:
        monkeypatch.setattr(import_module(COMMANDS[stage].module), COMMANDS[stage].function, _spy(stage, told))
    for task in kinds.values():
        assert main(list(task.words)) == 0, task.words
    assert len(told) == len(kinds) >= 6


def _flags(words: Sequence[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def _spy(stage: str, told: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> Any:
    """The command's own flags, and nothing done."""

    @wraps(getattr(import_module(COMMANDS[stage].module), COMMANDS[stage].function))
    def note(*values: Any, **named: Any) -> None:
        told.append((values, named))

    return note
