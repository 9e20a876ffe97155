"""`ghostpad settings` prints a recipe that a newcomer can save, change and train with."""

import re
import tomllib
from pathlib import Path

import pytest

from ghostpad.base.settings import Settings, flag_name, limits, load_settings, setting_names
from ghostpad.cli.main import main
from ghostpad.cli.settings import RUNS, recipe_text
from ghostpad.idm.settings import IdmRun, IdmSettings
from ghostpad.lab.docs import help_text


@pytest.mark.parametrize("kind", RUNS)
def test_the_printed_recipe_loads_back_to_the_defaults(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", kind]) == 0
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_settings(RUNS[kind], recipe, {}) == RUNS[kind]()


@pytest.mark.parametrize("kind", RUNS)
def test_every_setting_stands_in_it_below_its_meaning(kind: str) -> None:
    table, lines, found = "", recipe_text(RUNS[kind]()).splitlines(), set()
    for above, line in zip(lines, lines[1:], strict=False):
        table = line[1:-1] if line.startswith("[") else table
        if entry := re.match(r"(?:# )?([a-z_]+) =", line):
            found.add(f"{table}.{entry[1]}")
            assert above.startswith("# ") and above != "# None", f"{line} has no description"
    assert found == set(setting_names(RUNS[kind]))


@pytest.mark.parametrize("kind", ["idm", "policy"])
def test_every_setting_is_a_flag_of_the_help_with_its_meaning_limits_and_default(kind: str) -> None:
    words = " ".join(help_text(f"train {kind}").partition("model options")[2].split())
    for name in setting_names(RUNS[kind]):
        part, _, setting = name.partition(".")
        settings = getattr(RUNS[kind](), part)
        field, value = type(settings).model_fields[setting], getattr(settings, setting)
        default = {(): "nothing", "None": "none", "True": "true", "False": "false"}.get(value if value == () else str(value), str(value))
        default = " ".join(map(str, value)) if isinstance(value, tuple) and value else default
        entry = words.partition(f" {flag_name(name)} ")[2].partition(" ")[2]  # behind the flag and what it takes
        assert entry.startswith(f"{field.description} ({', '.join([*limits(field), f'default: {default}'])})"), name
    assert "{window,pair,frame}" in words if kind == "idm" else "{soft,hard}" in words


def test_a_changed_setting_keeps_its_value(tmp_path: Path) -> None:
    changed: Settings = IdmRun(model=IdmSettings(rate_hz=17.5, variant="pair", mirror=False))
    values = tomllib.loads(recipe_text(changed))
    assert values["model"]["rate_hz"] == 17.5 and values["model"]["mirror"] is False
    (tmp_path / "recipe.toml").write_text(recipe_text(changed), encoding="utf-8")
    assert load_settings(IdmRun, tmp_path / "recipe.toml", {}) == changed


def test_a_mistyped_kind_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "polcy"]) == 2
    assert "did you mean 'policy'?" in capsys.readouterr().err


def test_the_recipes_that_come_with_ghostpad_fit_the_settings() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert recipes
    for recipe in recipes:
        command = recipe.read_text(encoding="utf-8")
        kind = ("finetune-" if "--init" in command else "") + ("idm" if "ghostpad train idm" in command else "policy")
        assert load_settings(RUNS[kind], recipe, {}) != RUNS[kind]()
