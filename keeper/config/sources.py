"""Where settings come from: environment over secret files over the YAML file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from keeper.core.errors import ConfigError

V = TypeVar("V")

SECRETS_DIR_VARIABLE: Final = "KEEPER_SECRETS_DIR"
NESTED: Final = "__"

OURS: Final = "keeper_"

_FIELD: Final = re.compile(r'field "([^"]+)"')


class FileSettings(BaseSettings):
    """Settings of a YAML file that environment variables and secret files override."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_nested_delimiter=NESTED,
        validate_default=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment first and the file's content last; read no ``.env``."""
        del env_settings, dotenv_settings, file_secret_settings
        return (*_outside(settings_cls), init_settings)


def secrets_directory() -> Path | None:
    """Return the folder of secret files, None when there is none."""
    text = os.environ.get(SECRETS_DIR_VARIABLE)
    if not text:
        return None
    directory = Path(text)
    if not directory.is_dir():
        msg = f"{SECRETS_DIR_VARIABLE}: expected a folder of secret files, found {text!r}"
        raise ConfigError(msg)
    return directory


def find_outside(name: str) -> str | None:
    """Return an environment variable, or the secret file of the same name in lower case."""
    if (value := os.environ.get(name)) is not None:
        return value
    path = _secret_files().get(name.lower())
    return None if path is None else _text_of(path)


def _secret_files() -> dict[str, Path]:
    """Return the secret files by their names in lower case. Raises ConfigError."""
    directory = secrets_directory()
    if directory is None:
        return {}
    try:
        return {one.name.lower(): one for one in directory.iterdir() if one.is_file()}
    except OSError as error:
        wanted = "a folder of secret files that can be read"
        msg = f"{SECRETS_DIR_VARIABLE}: expected {wanted}, found: {error.strerror}"
        raise ConfigError(msg) from error


def _text_of(secret: Path) -> str:
    try:
        return secret.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        wanted = "a readable secret file of UTF-8 text"
        msg = f"{secret}: expected {wanted}, found {type(error).__name__}"
        raise ConfigError(msg) from error


class _SecretFiles(EnvSettingsSource):
    """Secret files, taken as the variables of their names are."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        """Read those of the settings' own keys and no other: a key is not read before it is due."""
        keys = {f"{self.env_prefix}{one}".lower() for one in self.settings_cls.model_fields}
        files = _secret_files().items()
        return {name: _text_of(path) for name, path in files if name.split(NESTED)[0] in keys}


def outside_names() -> set[str]:
    """Return the variables and secret files that are ours by their name, in lower case."""
    names = _secret_files().keys() | {one.lower() for one in os.environ}
    return {one for one in names if one.startswith(OURS)}


def overrides(settings: type[FileSettings]) -> dict[str, object]:
    """Return what the environment and the secret files say about these settings.

    Raises ConfigError for a whole section that is not JSON, and for a file that cannot be read.
    """
    found: dict[str, object] = {}
    for source in reversed(_outside(settings)):
        try:
            found = laid(found, source())
        except SettingsError as error:
            raise ConfigError(_unread(settings, str(error))) from None  # the cause has the value
    return found


def laid(under: Mapping[str, V], over: Mapping[str, V]) -> dict[str, V]:
    """Return the values of ``under`` with those of ``over`` on top, section by section."""
    found = dict(under)
    for key, value in over.items():
        below = found.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        found[key] = laid(below, value) if both else value  # type: ignore[arg-type, assignment]
    return found


def _unread(settings: type[FileSettings], said: str) -> str:
    """Return what is wrong with a variable, or the secret file of its name, in words of ours."""
    field = _FIELD.search(said)
    prefix = str(settings.model_config.get("env_prefix", ""))
    name = f"{prefix}{field.group(1) if field else ''}".upper()
    wanted = f"JSON, or {name}{NESTED}KEY for each of its keys"
    return f"environment {name}: expected {wanted}, found other text"


def _outside(settings: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources beyond the file, the strongest first."""
    return EnvSettingsSource(settings), _SecretFiles(settings)
