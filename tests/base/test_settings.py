"""Settings: strict, frozen, and every problem told at once with the nearest name."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.settings import Settings, build_settings, fingerprint, load_settings, parse_overrides, read_recipe, setting_names


class Optimiser(Settings):
    lr: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(100, ge=0)


class Model(Settings):
    depth: int = Field(4, ge=1)
    optimiser: Optimiser = Optimiser()
    teacher: Optimiser | None = None


def test_a_recipe_holds_only_differences(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text("depth = 2\n[optimiser]\nlr = 0.01\n")
    settings = build_settings(Model, read_recipe(recipe), str(recipe))
    assert settings == Model(depth=2, optimiser=Optimiser(lr=0.01))


def test_every_problem_is_told_at_once_with_its_origin_and_the_nearest_name() -> None:
    with pytest.raises(SettingsError) as caught:
        build_settings(Model, {"dept": 3, "optimiser": {"lr": -1, "warmup_stepz": 5}, "depth": "many"}, "small.toml")
    problems = caught.value.problems
    assert len(problems) == 4 and all(problem.startswith("small.toml: ") for problem in problems)
    text = str(caught.value)
    assert "no setting called 'dept': did you mean 'depth'?" in text
    assert "no setting called 'optimiser.warmup_stepz': did you mean 'optimiser.warmup_steps'?" in text
    assert "optimiser.lr is -1" in text and "depth is 'many'" in text


def test_settings_do_not_change_after_validation() -> None:
    with pytest.raises(ValidationError):
        Model().depth = 5  # type: ignore[misc]


def test_names_are_dotted_and_optional_classes_unfold() -> None:
    wanted = ["depth", "optimiser.lr", "optimiser.warmup_steps", "teacher.lr", "teacher.warmup_steps"]
    assert list(setting_names(Model)) == wanted


def test_a_missing_recipe_and_one_that_is_not_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="none.toml"):
        read_recipe(tmp_path / "none.toml")
    for content in (b"depth: 2", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(SettingsError, match="bad.toml is not TOML"):
            read_recipe(tmp_path / "bad.toml")


def test_a_fingerprint_names_its_parts() -> None:
    assert fingerprint({"a": 1, "b": 2}, "x") == fingerprint({"b": 2, "a": 1}, "x")
    assert len({fingerprint("a", "b"), fingerprint("ab"), fingerprint("b", "a"), fingerprint(["a", "b"])}) == 4
    assert fingerprint({"depth": 4}) == "eda3b36024ec", "names written by one version must hold in the next"


def test_a_recipe_that_is_wrong_where_an_override_is_right_is_still_told(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text("depth = 2\noptimiser = 3\n")
    with pytest.raises(SettingsError, match="wrong.toml: optimiser is 3, and --set optimiser... lies below it"):
        load_settings(Model, recipe, ["optimiser.lr=0.1"])
    assert load_settings(Model, None, ["optimiser.lr=0.1"]).optimiser.lr == 0.1


def test_an_override_below_a_value_is_a_problem_and_not_a_crash() -> None:
    with pytest.raises(SettingsError, match="'train.steps=3' lies below an override that gave 'train' a value"):
        parse_overrides(["train=3", "train.steps=3"])
    assert parse_overrides(["train.steps=3", "train.lr=1"]) == {"train": {"steps": 3, "lr": 1}}
