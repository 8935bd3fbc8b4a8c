"""The documentation names only what there is: links, anchors, files, tests and commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from keeper.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")))
CLI = typer.main.get_command(app)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        again = 1
        while (name := slug if again == 1 else f"{slug}-{again - 1}") in found:
            again += 1
        found.add(name)
    return found


def wrong_link(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return True
    return bool(anchor) and (there.suffix != ".md" or anchor not in anchors(there))


def shell_lines(page: Path) -> Iterator[str]:
    """Each command of the page's shell blocks, with continued lines joined."""
    for kind, block in FENCE.findall(page.read_text("utf-8")):
        if kind in {"sh", "bash", "shell"}:
            yield from block.replace("\\\n", " ").splitlines()


def keeper_words(line: str) -> list[str]:
    """What follows ``keeper`` in a shell line, empty when the line runs something else."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["docker", "compose"] and "exec" in words:
        words = words[words.index("exec") + 2 :]
    for at, word in enumerate(words):
        if word == "keeper" or word.endswith("/bin/keeper"):
            return words[at + 1 :]
        if word.startswith("scripts/demo"):
            return ["demo", *words[at + 1 :]]
    return []


def command_of(words: list[str]) -> tuple[TyperCommand | TyperGroup, str, list[str]]:
    """The command that the words name and what is left of them. Fails when there is none."""
    command, name, rest = CLI, "keeper", words
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        name, rest = rest[0], rest[1:]
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    return command, name, rest


def parses(words: list[str]) -> bool:
    command, name, rest = command_of(words)
    command.make_context(name, rest)
    return True


def quoted_commands(page: Path) -> Iterator[list[str]]:
    """The words of each ``keeper`` command that the prose quotes; alternatives are spelled out."""
    for quoted in re.findall(r"`(keeper [a-z][^`]*)`", prose(page).replace("\\|", "|")):
        words = re.sub(r"[][;,]", " ", quoted.replace("\n", " ")).split()[1:]
        choices = next((word for word in words if "|" in word), "")
        for choice in choices.split("|"):
            yield [choice if word == choices else word for word in words]


def unknown_flags(words: list[str]) -> list[str]:
    command, _, rest = command_of(words)
    known = {one for option in command.params for one in option.opts} | {"--help"}
    return [word for word in rest if word.startswith("-") and word not in known]


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    local = [one for one in targets if not re.match(r"[a-z]+:", one)]
    assert [one for one in local if wrong_link(page, one)] == []


@every_page
def test_the_command_line_takes_every_command_of_a_shell_block(page: Path) -> None:
    for line in shell_lines(page):
        words = keeper_words(line)
        assert not words or parses(words), line


@every_page
def test_every_command_and_flag_that_the_prose_quotes_exists(page: Path) -> None:
    wrong = [(words, unknown_flags(words)) for words in quoted_commands(page)]
    assert [one for one in wrong if one[1]] == []


@every_page
def test_every_package_is_installed_by_its_hash(page: Path) -> None:
    """What is Keeper's own comes without others, also without those that would build it."""
    bare = {"--no-deps", "--no-build-isolation"}
    for line in shell_lines(page):
        for words in (shlex.split(one, comments=True) for one in line.split("&&")):
            if "install" in words and "pip" in " ".join(words):
                assert "--require-hashes" in words or bare <= set(words), line


@every_page
def test_every_script_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/])scripts/[\w/.]+\w", page.read_text("utf-8")))
    assert [one for one in sorted(named) if not (ROOT / one).exists()] == []


@every_page
def test_every_file_that_is_quoted_exists(page: Path) -> None:
    """A path with a wildcard or an elision names no file and is passed over."""
    pattern = r"`((?:keeper|tests|config|deploy|contracts|abis|docs)/[\w./-]+\.\w+)"
    named = set(re.findall(pattern, prose(page)))
    assert [one for one in sorted(named) if not (ROOT / one).exists()] == []


@every_page
def test_every_test_that_is_quoted_with_its_file_is_in_it(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", prose(page)):
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"


def test_what_does_not_exist_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing: `a`\n\n[x](#one-thing-a) [y](#another) [z](gone.md)\n", "utf-8")
    assert not wrong_link(page, "#one-thing-a")
    assert wrong_link(page, "#another")
    assert wrong_link(page, "gone.md")
    assert unknown_flags(["scan", "-c", "CONFIG", "--bellow"]) == ["--bellow"]
    with pytest.raises(TyperException):
        parses(["scan", "-c", "CONFIG", "--bellow", "1"])
    with pytest.raises(AssertionError, match="no command 'scam'"):
        parses(["scam"])
