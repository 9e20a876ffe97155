"""The docs say what the program does: every command is documented, and the pages name only commands that exist."""

import re
from pathlib import Path

import pytest
import yaml

from ghostpad import __version__
from ghostpad.cli.main import COMMANDS
from ghostpad.lab.api_docs import api_page
from ghostpad.lab.docs import commands_page, help_text
from ghostpad.lab.main import COMMANDS as LAB

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_page_of_commands_is_up_to_date() -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == commands_page(), "run `make docs`"


def test_the_page_of_the_api_is_up_to_date() -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == api_page(), "run `make docs`"


def flags(text: str) -> dict[str, str]:
    """Every argument of a help text and the words beside it: an entry begins two columns in, its words follow a wide gap."""
    entries = re.split(r"\n {2}(?=\S)", text)[1:]
    return {entry.split("  ")[0].split("\n")[0]: " ".join(re.split(r" {2,}|\n", entry)[1:]).strip() for entry in entries}


@pytest.mark.parametrize("name", [*COMMANDS, *(f"lab {words}" for words in LAB)])
def test_a_command_describes_itself_and_each_of_its_flags(name: str) -> None:
    text = help_text(name)
    assert text.startswith(f"usage: ghostpad {name} ")
    assert len(text.split("\n\n")[1].split()) > 5, "the docstring of the command's function is its description"
    assert "-h, --help" in flags(text)
    assert not [flag for flag, words in flags(text).items() if not words or words.startswith(("(default", "(required"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_commands_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    call = r"ghostpad (lab )?([a-z]+)(?: ([a-z][a-z-]*))?"
    words = re.findall(f"`{call}", text) + re.findall(rf"^(?:\.venv/bin/)?{call}", shell, re.MULTILINE)
    known = {"": COMMANDS, "lab ": LAB}
    wrong = {
        f"{lab}{one} {two}".strip()
        for lab, one, two in words
        if f"{one} {two}" not in known[lab] and one not in known[lab] and f"{one} {two}".strip() != "lab"
    }
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_citation_and_the_changes_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation) and citation["type"] == "software"
    assert citation["version"] == __version__ and f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    cited = {identifier["value"] for work in citation["references"] for identifier in work["identifiers"]}
    assert {"arXiv:2601.02427", "arXiv:2206.11795", "arXiv:2410.11758"} == cited


def test_the_design_fits_on_two_hundred_lines() -> None:
    assert len((ROOT / "docs" / "design.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_make_targets_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z]+)`", page.read_text(encoding="utf-8"))}
    assert named <= targets
