"""Variables and secret files that are written like keys of the configuration, and reach none."""

import re
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from keeper.config.complaints import nearest, sections_of
from keeper.config.sources import NESTED, OURS, FileSettings, outside_names
from keeper.core.errors import ConfigError

_LIKENESS: Final = 0.75
"""Of a slip in a section's name: other names with ``__`` in them may stand for ``${NAME}``."""


def require_reached(*models: type[FileSettings]) -> None:
    """Raise ConfigError for a variable, or a secret file, that means a key and does not reach it.

    ``KEEPER_LIMITS_MAX_GAS_PER_DAY_WEI`` would leave the file's limit in force, and
    ``KEEPER_SENDING_HALT_FILE`` a kill switch that nobody looks for.
    """
    names = {name: inside for one in models for name, inside in _names(one, _prefix(one))}
    sections = {name.removeprefix(OURS) for name, inside in names.items() if inside}
    meant_by = {_plain(name): name for name in names}
    for name in sorted(outside_names() - names.keys()):
        head, nested, rest = name.removeprefix(OURS).partition(NESTED)
        if head in sections and nested:
            continue  # the section knows its keys
        meant = meant_by.get(_plain(name)) or _slipped(head, rest if nested else "", sections)
        if meant:
            _refuse(name, meant)


def _slipped(head: str, rest: str, sections: set[str]) -> str:
    """Return the key that is meant when it is all right but for its section, or nothing."""
    near = nearest(head, sections, likeness=_LIKENESS) if rest else ""
    return f"{OURS}{near}{NESTED}{rest}" if near else ""


def _refuse(name: str, meant: str) -> None:
    wanted = f"{meant.upper()}, for no key is called as this is"
    raise ConfigError(f"environment {name.upper()}: expected {wanted}, found it set")


def _plain(name: str) -> str:
    return re.sub("_+", "_", name)


def _prefix(model: type[FileSettings]) -> str:
    return str(model.model_config.get("env_prefix", "")).lower()


def _names(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """Yield what overrides each key, in lower case, and whether it is a section of others."""
    for key, field in model.model_fields.items():
        inside = list(sections_of(field.annotation))
        yield f"{prefix}{key}", bool(inside)
        for one in inside:
            yield from _names(one, f"{prefix}{key}{NESTED}")
