"""Say what is wrong with a setting: where, which key, what was expected and what was found."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from keeper.config.document import Document, Location
from keeper.config.sources import NESTED
from keeper.core.errors import ConfigError
from keeper.core.text import printable

S = TypeVar("S", bound=BaseModel)

_KEY_LIKE: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64,}")
_OF_A_KEY: Final = "[key]"
_TAG_ERRORS: Final = {"union_tag_invalid", "union_tag_not_found"}
"""What pydantic adds to the location of a mapping's key."""
_SECTION_ERRORS: Final = {"model_type", "dict_type", "model_attributes_type"}
"""What pydantic says with the names of our classes."""
_PLAIN: Final = {
    "tuple_type": "a list",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""What pydantic says in words of its library."""
_SHOWN: Final = 80


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the known word that is nearest to another in any case, or nothing."""
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=likeness)
    return lower[near[0]] if near else ""


def shown(value: object) -> str:
    """Return a found value fit to print: short, without control characters, never a key."""
    text = str(value)
    if _KEY_LIKE.search(text):
        return "64 hex digits or more (hidden, in case it is a key)"
    if isinstance(value, Mapping):
        return "keys and values"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    return repr(printable(text, _SHOWN)) if isinstance(value, str) else printable(text, _SHOWN)


def complaints(
    error: ValidationError,
    model: type[BaseModel],
    document: Document,
    *,
    given: Mapping[str, object],
    under: Location = (),
) -> list[str]:
    """Return one line for each thing wrong. ``given`` is what came from outside of the file."""
    details = error.errors(include_url=False, include_context=True)
    details.sort(key=lambda detail: document.line((*under, *detail["loc"])))
    return [_complaint(one, model, document, given=given, under=under) for one in details]


def section(model: type[S], document: Document, data: object, *, under: Location = ()) -> S:
    """Return a section of a document, checked. Raises ConfigError with a line for each mistake."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = complaints(error, model, document, given={}, under=under)
        raise ConfigError("\n".join(lines)) from error


def _complaint(
    detail: ErrorDetails,
    model: type[BaseModel],
    document: Document,
    *,
    given: Mapping[str, object],
    under: Location,
) -> str:
    loc = _without_tags(model, detail["loc"])
    if detail["type"] in _TAG_ERRORS:
        loc = (*loc, "kind")
    at = (*under, *(step for step in loc if step != _OF_A_KEY))
    key = ".".join(map(str, at)) or "the file"
    outside = bool(at) and is_given(given, at)
    where = variable(model, at) if outside else document.where(at)
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        return f"{where}: unknown key {str(at[-1])!r}{suggestion(str(at[-1]), known)}"
    if detail["type"] in {"missing", "union_tag_not_found"}:
        return f"{where}: missing key {key!r}"
    hidden = outside or at in document.hidden or _is_secret(at)
    return f"{where}: {key}: {_problem(detail, hidden=hidden)}"


def _problem(detail: ErrorDetails, *, hidden: bool) -> str:
    found = "a value that is not shown" if hidden else shown(detail["input"])
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        return _wrong_kind(str(context["tag"]), str(context["expected_tags"]))
    if detail["type"] == "value_error":
        problem = str(context["error"])
        return problem if ", found " in problem else f"{problem}, found {found}"
    if detail["type"] in {"enum", "literal_error"}:
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        near = "" if hidden else suggestion(str(detail["input"]), known)
        return f"expected {context['expected']}, found {found}{near}"
    if detail["type"] in _SECTION_ERRORS:
        return f"expected keys and values, found {found}"
    said = detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")
    expected = _PLAIN.get(detail["type"], said)
    return f"expected {expected[:1].lower()}{expected[1:]}, found {found}"


def _wrong_kind(found: str, expected: str) -> str:
    known = re.findall(r"'([^']*)'", expected)
    choice = " or ".join(repr(one) for one in known)
    return f"expected {choice}, found {shown(found)}{suggestion(found, known)}"


def _is_secret(at: Location) -> bool:
    return not {"rpc", "urls", "url", "api_key_env"}.isdisjoint(at)


def is_given(given: object, at: Location) -> bool:
    """Return whether the value at ``at`` is part of what came from outside of the file."""
    for step in at:
        if not isinstance(given, Mapping):
            return True
        if step not in given:
            return False
        given = given[step]
    return True


def variable(model: type[BaseModel], at: Location) -> str:
    """Return the environment variable that overrides a location."""
    prefix = str(model.model_config.get("env_prefix", ""))
    names = [str(step) for step in at if isinstance(step, str)]
    return "environment " + (prefix + NESTED.join(names)).upper()


def _keys_at(model: type[BaseModel], at: Location) -> tuple[str, ...]:
    """Return the keys that the section at a location knows."""
    section, _ = _walk(model, at)
    if isinstance(section, type) and issubclass(section, BaseModel):
        return tuple(section.model_fields)
    return ()


def _without_tags(model: type[BaseModel], at: Location) -> Location:
    """Return the location in the file: a section of several kinds has its kind in an error's."""
    return _walk(model, at)[1]


def _walk(model: type[BaseModel], at: Location) -> tuple[object, Location]:
    """Return the section at a location, and the location without the kinds on the way."""
    sections: list[object] = [model]
    path: list[str | int] = []
    for step in at:
        tagged = [one for one in sections if step in _kinds_of(one)]
        if len(sections) > 1 and tagged:
            sections = tagged
            continue
        path.append(step)
        fields = getattr(sections[0], "model_fields", {}) if sections else {}
        if isinstance(step, str) and step in fields:
            sections = list(sections_of(fields[step].annotation))
    return (sections[0] if sections else None), tuple(path)


def _kinds_of(section: object) -> tuple[object, ...]:
    field = getattr(section, "model_fields", {}).get("kind")
    return () if field is None else get_args(field.annotation)


def sections_of(hint: object) -> Iterator[type[BaseModel]]:
    """Yield the sections in a hint such as ``tuple[Section, ...]`` or ``Section | Other``."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for inner in get_args(hint):
        yield from sections_of(inner)
