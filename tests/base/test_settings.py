"""Settings: strict, frozen, and every problem told at once with the nearest name."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.settings import Settings, build_settings, fingerprint, limits, load_settings, read_recipe, setting_names


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


def test_a_recipe_that_is_wrong_where_a_flag_is_right_is_still_told(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text("depth = 2\noptimiser = 3\n")
    with pytest.raises(SettingsError, match="wrong.toml: optimiser is 3"):
        load_settings(Model, recipe, {"optimiser": {"lr": "0.1"}})
    assert load_settings(Model, None, {"optimiser": {"lr": "0.1"}}).optimiser.lr == 0.1


def test_flags_lie_over_the_recipe_and_that_over_a_base_and_each_problem_names_its_origin(tmp_path: Path) -> None:
    recipe = tmp_path / "some.toml"
    recipe.write_text("depth = 2\n[optimiser]\nwarmup_steps = -1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Model, recipe, {"optimiser": {"lr": "0"}, "optimiser.warmup_stepz": "3"})
    assert [problem.partition(" is ")[0] for problem in caught.value.problems] == [
        "--optimiser.lr", f"{recipe}: optimiser.warmup_steps",
        "no flag called '--optimiser.warmup-stepz': did you mean '--optimiser.warmup-steps'?",
    ]  # fmt: skip
    recipe.write_text("depth = 2")
    found = load_settings(Model, recipe, {"optimiser": {"lr": "0.5"}}, {"depth": 9, "optimiser": {"lr": 0.1, "warmup_steps": 7}})
    assert found == Model(depth=2, optimiser=Optimiser(lr=0.5, warmup_steps=7))


def test_limits_are_told_in_words() -> None:
    class Many(Settings):
        crf: tuple[Annotated[int, Field(ge=0, le=51)], ...] = ()
        share: float = Field(0.5, ge=0, lt=1)
        px: int = Field(8, gt=0, multiple_of=8)
        name: str = "x"

    assert [limits(field) for field in Many.model_fields.values()] == [
        ["0 to 51"], ["at least 0", "below 1"], ["above 0", "a multiple of 8"], [],
    ]  # fmt: skip
