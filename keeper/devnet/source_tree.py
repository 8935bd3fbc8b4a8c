"""Solidity sources spread over npm packages, gathered for one run of the compiler."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from posixpath import dirname, normpath

from keeper.core.errors import ConfigError

_IMPORT = re.compile(r"^\s*import\s+(?:[^;'\"]*?from\s+)?['\"]([^'\"]+)['\"]", re.MULTILINE)


def gather_sources(
    roots: Iterable[str], folders: Mapping[str, Path], remappings: Mapping[str, str]
) -> dict[str, str]:
    """Return the roots and all that they import, by source unit name.

    `folders` says where units of a prefix lie; `remappings` gives an import's prefix the prefix to
    read it under. Each file must end up with one name: with two, solc sees two contracts. Raises
    ConfigError when an import leads nowhere.
    """
    found: dict[str, str] = {}
    wanted = list(roots)
    while wanted:
        unit = wanted.pop()
        if unit in found:
            continue
        found[unit] = _read(unit, folders)
        wanted.extend(_imports(unit, found[unit], remappings))
    return dict(sorted(found.items()))


def _read(unit: str, folders: Mapping[str, Path]) -> str:
    for prefix, folder in folders.items():
        if unit.startswith(prefix):
            path = folder / unit.removeprefix(prefix)
            if path.is_file():
                return path.read_text("utf-8")
    raise ConfigError(f"{unit}: expected a source under {', '.join(folders)}, found none")


def _imports(unit: str, text: str, remappings: Mapping[str, str]) -> Iterator[str]:
    for imported in _IMPORT.findall(text):
        near = imported.startswith(".")
        name = normpath(f"{dirname(unit)}/{imported}") if near else imported
        prefix = next((one for one in remappings if name.startswith(one)), None)
        yield name if prefix is None else remappings[prefix] + name.removeprefix(prefix)
