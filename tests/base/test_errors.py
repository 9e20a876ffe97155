"""Errors: one tree, an exit status for each, and the nearest name in the message."""

import pytest

from ghostpad.base import errors


def test_settings_errors_exit_with_2_and_all_others_with_1() -> None:
    kinds = [kind for kind in errors.GhostpadError.__subclasses__() if kind.__module__ == errors.__name__]
    assert len(kinds) == 6
    assert {kind.exit_code for kind in kinds if kind is not errors.SettingsError} == {1}
    assert errors.SettingsError("x").exit_code == 2


def test_a_settings_error_holds_every_problem() -> None:
    assert errors.SettingsError(["a", "b"]).problems == ["a", "b"]
    assert str(errors.SettingsError(["a", "b"])) == "a\nb"
    assert errors.SettingsError("a").problems == ["a"]


@pytest.mark.parametrize(
    "name, clause",
    [("dom", "did you mean 'doom'?"), ("xyzzy", "choose from: doom, racing"), ("", "choose from: doom, racing")],
)
def test_the_nearest_name_or_all_of_them(name: str, clause: str) -> None:
    assert errors.nearest(name, ["racing", "doom"]) == clause
    assert str(errors.unknown("game", name, ["racing", "doom"])) == f"no game called '{name}': {clause}"


def test_of_very_many_names_a_few_are_listed_and_those_near_are_compared() -> None:
    names = [f"v{number:06d}" for number in range(200_000)]
    assert errors.nearest("v123456x", names) == "did you mean 'v123456'?"
    assert errors.nearest("#", names) == f"choose from: {', '.join(names[:30])} and 199970 more"
