"""Check a file's keys with what overrides them, and say where a value comes from."""

from typing import TypeVar

from pydantic import ValidationError

from keeper.config.complaints import complaints, is_given, suggestion, variable
from keeper.config.document import Document, Location
from keeper.config.sources import FileSettings, overrides
from keeper.core.errors import ConfigError

F = TypeVar("F", bound=FileSettings)


def checked(model: type[F], document: Document) -> F:
    """Return the settings of a document with what overrides them. Raises ConfigError."""
    given = overrides(model)
    # pydantic-settings would take these for the field, or for an argument of its own.
    known = model.model_fields
    for key in document.data:
        if key not in known and (key.startswith("_") or key.lower() in known):
            near = suggestion(key, known)
            raise ConfigError(f"{document.where((key,))}: unknown key {key!r}{near}")
    try:
        return model(**document.data)
    except ValidationError as error:
        lines = complaints(error, model, document, given=given)
        raise ConfigError("\n".join(lines)) from error


def origin(model: type[FileSettings], document: Document, at: Location) -> str:
    """Return what a value comes from: a line of the file, or the environment."""
    is_outside = is_given(overrides(model), at)
    return variable(model, at) if is_outside else document.where(at)
