"""Make ``docs/configuration.md``, every key of every file, from the models that check them.

``scripts/config_reference`` writes the page; ``--check`` only says whether it is current.
"""

# ruff: noqa: E501 - the lines of a page

import ast
import dataclasses
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic_core import PydanticUndefined

from keeper.config.chain_file import ChainSettings
from keeper.config.keeper_file import LEAST, MOST, KeeperSettings
from keeper.config.parameters import known_protocols, parameters_type
from keeper.config.protocol_file import ProtocolSettings
from keeper.config.section import Section
from keeper.config.totals import TotalSettings

PAGE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"

_WORDS: Final = {
    "parse_wei": "amount",
    "parse_whole": "whole number",
    "parse_positive": "whole number from 1",
    "parse_bps": "basis points",
    "parse_batch_size": "whole number from 1 to 10",
    "accept_endpoint": "node",
}
"""What a parser accepts, where its name does not say it."""

_SHAPERS: Final = frozenset({"filled", "distinct", "split_list", "split_words", "listed"})
"""Validators of a list as a whole: they say nothing of its items."""

HEAD: Final = """\
# Configuration

<!-- Made by scripts/config_reference from the models in keeper/config. Do not edit. -->

Three kinds of YAML files: the root file, one file a chain, one file a deployment of a protocol. Paths are
relative to the file that names them; `~` is the user's home. Unknown keys are refused, with a suggestion.

| word | is |
|---|---|
| amount | wei, or a text with a unit: `0.01 ether`, `3 gwei` |
| basis points | a whole number from 0 to 10000 |
| address | `0x` and 40 hex digits; the checksum must hold when its case is mixed |
| feed | a feed's label, or its source's address |
| node | `http(s)://`, `ws(s)://`, or the path of an IPC socket: from `/`, `./`, `../` or `~/`, or one that ends in `.ipc`; else behind `ipc:` |

`${NAME}` in a value is filled from the environment or a secret file of that name (lower case, in the folder
`KEEPER_SECRETS_DIR`); `${NAME:-default}` has a default. The environment overrides keys of the root file
(`KEEPER_MODE`, `KEEPER_LIMITS__MIN_PROFIT_WEI`) and of the chain's file (`KEEPER_CHAIN_RPC`), and secret files
do where the environment says nothing. A name that is nearly such a key's is refused. A list may be a text with commas between its items.

No key file or password is read before a run is armed. These come from the environment or a secret file alone,
and are in no YAML file:

| variable | is |
|---|---|
| `KEEPER_CONFIRM_LIVE_CHAIN_ID` | the id of each chain to arm on, with commas between them |
| `KEEPER_PRIVATE_KEY` | the operator's key, in place of `operator.keystore` |
| `KEEPER_KEYSTORE_PASSWORD` | of the keystore, in place of `operator.password_file` or a prompt |
| `KEEPER_RELAY_KEY` | by which relays know us; one of each run's own without it |
| `KEEPER_HALT_TOKEN` | of the kill switch of `http` |
"""

CHAINS: Final = """
### `chains` and `totals`

In place of `chain` and `protocols`, `chains` lists an entry for each chain ([several
chains](several-chains.md)). An entry takes every key of the root file but `log` and `alerts`, and is laid over
the root's, a section key by key. `database` at the root gets the chain's name into it.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, _part("The root file", "", KeeperSettings), CHAINS.rstrip() + "\n"]
    parts += _sections("totals", TotalSettings)
    parts.append(_bounds())
    parts.append(_part("The file of a chain", "", ChainSettings))
    parts.append(_part("The file of a deployment", "", ProtocolSettings))
    parts.append("\n### `parameters`\n\nEach protocol has its own.\n")
    parts += [_parameters(name) for name in known_protocols()]
    return "\n".join(one.strip("\n") + "\n" for one in parts)


def _part(title: str, path: str, model: type[BaseModel]) -> str:
    return f"## {title}\n\n" + "\n".join(_sections(path, model)).replace("### ``\n\n", "")


def _bounds() -> str:
    rows = [f"| `limits.{name}` | at most {most} |" for name, most in MOST.items()]
    rows += [f"| `limits.{name}` | at least {least} |" for name, least in LEAST.items()]
    head = "### Bounds\n\nA limit beyond these is refused unless its key is in `confirm_dangerous`. Wei."
    return "\n".join((head, "", "| key | bound |", "|---|---|", *rows, ""))


def _parameters(name: str) -> str:
    declared = parameters_type(name)
    docs, hints = _documented(declared), get_type_hints(declared)
    rows = [
        _row(one.name, hints[one.name], _of_dataclass(one), docs.get(one.name, ""))
        for one in dataclasses.fields(declared)
    ]
    return "\n".join((f"#### of `{name}`", "", *_TABLE, *rows, ""))


_TABLE: Final = ("| key | takes | default | |", "|---|---|---|---|")


def _sections(path: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield a table for the section at a path, and for each section in it."""
    docs, hints = _documented(model), get_type_hints(model, include_extras=True)
    rows, inner = [], []
    for name, field in model.model_fields.items():
        rows.append(_row(name, hints[name], _of_model(field), docs.get(name, "")))
        inner += [(f"{path}.{name}".lstrip("."), one) for one in _within(hints[name])]
    what = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    kind = _kind(hints)
    title = f"### `{path}`" + (f" of kind `{kind}`" if kind and "|" not in kind else "")
    yield "\n".join((title, "", what, "", *_TABLE, *rows, ""))
    for where, section in inner:
        yield from _sections(where, section)


def _kind(hints: Mapping[str, Any]) -> str:
    found = hints.get("kind")
    return "|".join(map(str, get_args(found))) if get_origin(found) is Literal else ""


def _row(name: str, hint: object, default: str, doc: str) -> str:
    text = " ".join(doc.split()).replace("``", "`")
    return f"| `{name}` | {_words(hint)} | {default} | {text} |".replace("  ", " ")


def _of_model(field: Any) -> str:  # noqa: ANN401 - pydantic's field
    if field.default is PydanticUndefined and field.default_factory is None:
        return "**required**"
    return _shown(field.default if field.default_factory is None else field.default_factory())


def _of_dataclass(one: "dataclasses.Field[Any]") -> str:
    if one.default_factory is not dataclasses.MISSING:
        return _shown(one.default_factory())
    return "**required**" if one.default is dataclasses.MISSING else _shown(one.default)


def _shown(value: object) -> str:
    """Return a default as YAML would have it."""
    if value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, Mapping):
        return f"`{{{', '.join(f'{key}: {one}' for key, one in value.items())}}}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _words(hint: object) -> str:
    """Return what a key takes, in words."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        parsers = [_parser(one) for one in extras if isinstance(one, BeforeValidator)]
        named = [one for one in parsers if one not in _SHAPERS]
        return _parsed(named[0]) if named else _words(inner)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        kinds = dict.fromkeys(_words(one) for one in get_args(hint) if one is not type(None))
        return " or ".join(kinds)
    if get_origin(hint) is tuple:
        return f"list of: {_words(get_args(hint)[0])}"
    if get_origin(hint) in (dict, Mapping, _ABSTRACT_MAPPING):
        key, value = get_args(hint)
        return f"mapping of {_words(key)} to {_words(value)}"
    return _plain(hint)


_ABSTRACT_MAPPING: Final = get_origin(Mapping[str, str])


def _plain(hint: object) -> str:
    if isinstance(hint, type) and issubclass(hint, Section):
        return "keys, below"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{one.value}`" for one in hint)
    names = {bool: "`true`, `false`", int: "whole number", str: "text", SecretStr: "secret text"}
    known = names.get(hint)  # type: ignore[call-overload]
    return known or str(getattr(hint, "__name__", "keys of its own")).lower().replace(
        "object", "any"
    )


def _parser(validator: BeforeValidator) -> str:
    func: Callable[..., object] = validator.func  # type: ignore[assignment]
    return getattr(func, "__name__", "")


def _parsed(name: str) -> str:
    bare = name.removeprefix("parse_").removeprefix("accept_").replace("_", " ")
    return _WORDS.get(name, {"str": "text"}.get(bare, bare))


def _within(hint: object) -> list[type[Section]]:
    """Return the sections in a hint."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return [hint]
    return [found for one in get_args(hint) for found in _within(one)]


def _documented(model: type) -> dict[str, str]:
    """Return the text under each field of a class."""
    tree = ast.parse(inspect.getsource(model).lstrip())
    (body,) = [one.body for one in tree.body if isinstance(one, ast.ClassDef)]
    found = {}
    for field, after in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
            text = after.value
            if isinstance(text, ast.Constant) and isinstance(field.target, ast.Name):
                found[field.target.id] = inspect.cleandoc(str(text.value))
    return found


def main() -> int:
    """Write the page, or say whether it is current."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.is_file() and PAGE.read_text("utf-8") == text
        print("current" if current else f"{PAGE}: not current: scripts/config_reference")
        return 0 if current else 1
    PAGE.write_text(text, "utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
