"""Read a YAML file and remember the line of everything in it.

A strict subset: mappings, lists and scalars. Numbers with a point or an exponent stay text, so
that no float ever comes near money; ``0x`` hex stays text, so that an unquoted address is one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from keeper.core.errors import ConfigError

Value = dict[str, "Value"] | list["Value"] | str | int | bool | None
"""What a document holds."""

Location = tuple[str | int, ...]
"""Keys and indices from the document's root."""

Lookup = Callable[[str], str | None]
"""Finds a named secret or setting outside of the file, None when there is none."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,3}(?:_?[0-9]{1,3}){0,40}")
_BOOLEANS: Final = {"true": True, "false": False}
_NULLS: Final = frozenset({"", "~", "null"})
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_NO_COLON: Final = "a key without a colon and a space behind it"
_PLAIN_WORDS: Final = {
    r"'\t'": "a tab, expected spaces to indent with",
    "<block end>": "a line that is not indented as those that it stands with",
    "could not find expected ':'": _NO_COLON,
    "mapping values are not allowed here": "a line indented too far, or a second colon in one",
}
"""What the parser says, and what a person did."""


@dataclass(slots=True, kw_only=True)
class Document:
    """A YAML file as data, with the line of each key and item."""

    shown: str
    """The file's name in messages."""
    data: dict[str, Value] = field(default_factory=dict)
    lines: dict[Location, int] = field(default_factory=dict)
    hidden: set[Location] = field(default_factory=set)
    """Where a value came from outside of the file and must not be shown."""

    def line(self, at: Location) -> int:
        """Return the line of a location, or of the nearest thing around it."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)

    def where(self, at: Location) -> str:
        """Return ``file:line`` of a location."""
        return f"{self.shown}:{self.line(at)}"


def read_document(path: Path, lookup: Lookup) -> Document:
    """Read a YAML file whose root is a mapping; ``${NAME}`` is replaced through ``lookup``.

    Raises ConfigError with file and line.
    """
    document = Document(shown=str(path))
    root = _compose(path)
    if not isinstance(root, yaml.MappingNode):
        msg = f"{path}:1: expected keys and values, found an empty file or a bare value"
        raise ConfigError(msg)
    builder = _Builder(document, lookup)
    builder.mapping(root, (), document.data)
    return document


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        msg = f"{path}: expected a configuration file, found: {error.strerror}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x}"
        raise ConfigError(msg) from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_not_yaml(path, error)) from error
    except yaml.YAMLError as error:
        msg = f"{path}:1: expected YAML, found: {str(error).splitlines()[0]}"
        raise ConfigError(msg) from error


def _not_yaml(path: Path, error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong in words of the file's, where the parser has words of its own."""
    problem, mark = str(error.problem or error.context), error.problem_mark or error.context_mark
    for sign, words in _PLAIN_WORDS.items():
        if sign in problem:
            problem = words
            # A key that never ends is noticed at the next line.
            mark = error.context_mark if words == _NO_COLON else mark
            break
    return f"{path}:{mark.line + 1 if mark else 1}: expected YAML, found: {problem}"


class _Builder:
    """Turns nodes into values and notes their lines."""

    def __init__(self, document: Document, lookup: Lookup) -> None:
        self._document = document
        self._lookup = lookup
        self._seen: set[int] = set()

    def mapping(self, node: yaml.MappingNode, at: Location, into: dict[str, Value]) -> None:
        for key_node, value_node in node.value:
            key = self._key(key_node, at, into)
            here = (*at, key)
            self._document.lines[here] = key_node.start_mark.line + 1
            into[key] = self._value(value_node, here)

    def _key(self, node: yaml.Node, at: Location, seen: dict[str, Value]) -> str:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(line, "expected a plain key, found a list or mapping as key")
        key = str(node.value)
        if key in seen:
            first = self._document.lines[(*at, key)]
            raise self._error(line, f"duplicate key {key!r}, first on line {first}")
        return key

    def _value(self, node: yaml.Node, at: Location) -> Value:
        if id(node) in self._seen:
            line = node.start_mark.line + 1
            raise self._error(line, "expected a value used once, found an alias (*) of it")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            into: dict[str, Value] = {}
            self.mapping(node, at, into)
            return into
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*at, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        raise self._error(node.start_mark.line + 1, "expected a value, found another node")

    def _item(self, node: yaml.Node, at: Location) -> Value:
        self._document.lines[at] = node.start_mark.line + 1
        return self._value(node, at)

    def _scalar(self, node: yaml.ScalarNode, at: Location) -> Value:
        text = str(node.value)
        if _REFERENCE.search(text):
            self._document.hidden.add(at)
            return _REFERENCE.sub(lambda found: self._resolve(found, node), text)
        return text if node.style in {"'", '"', "|", ">"} else plain_scalar(text)

    def _resolve(self, found: re.Match[str], node: yaml.Node) -> str:
        name, default = found.group(1), found.group(2)
        value = self._lookup(name)
        if value is None and default is None:
            raise self._error(
                node.start_mark.line + 1,
                f"expected the environment variable or secret file {name}, found none",
            )
        return value if value is not None else default

    def _error(self, line: int, problem: str) -> ConfigError:
        return ConfigError(f"{self._document.shown}:{line}: {problem}")


def plain_scalar(text: str) -> Value:
    """Return an unquoted scalar as a boolean, null, decimal integer, or else as its text."""
    lowered = text.lower()
    if lowered in _NULLS:
        return None
    if lowered in _BOOLEANS:
        return _BOOLEANS[lowered]
    if _INTEGER.fullmatch(text):
        return int(text)
    return text
