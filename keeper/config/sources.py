"""Where settings come from: environment over secret files over the YAML file."""

import os
import re
from pathlib import Path
from typing import Final

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from keeper.core.errors import ConfigError

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
    directory = secrets_directory()
    if directory is None:
        return None
    path = directory / name.lower()
    try:
        return path.read_text("utf-8").strip() if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: expected a readable secret file of UTF-8 text, found {type(error).__name__}"
        raise ConfigError(msg) from error


def outside_names() -> set[str]:
    """Return the variables and secret files that are ours by their name, in lower case."""
    directory = secrets_directory()
    files = {one.name for one in directory.iterdir()} if directory else set()
    names = {one.lower() for one in files | os.environ.keys()}
    return {one for one in names if one.startswith(OURS)}


def overrides(settings: type[FileSettings]) -> dict[str, object]:
    """Return what the environment and the secret files say about these settings.

    Raises ConfigError for a whole section that is not JSON, or cannot be read.
    """
    found: dict[str, object] = {}
    for source in reversed(_outside(settings)):
        try:
            found.update(source())
        except SettingsError as error:
            raise ConfigError(_unread(settings, str(error))) from None  # the cause has the value
    return found


def _unread(settings: type[FileSettings], said: str) -> str:
    """Return what is wrong with a variable, or the secret file of its name, in words of ours."""
    field = _FIELD.search(said)
    prefix = str(settings.model_config.get("env_prefix", ""))
    name = f"{prefix}{field.group(1) if field else ''}".upper()
    if not said.startswith("error parsing"):
        return f"environment {name}: expected a value that can be read, found none"
    wanted = f"JSON, or {name}{NESTED}KEY for each of its keys"
    return f"environment {name}: expected {wanted}, found other text"


def _outside(settings: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources beyond the file, the strongest first."""
    environment = EnvSettingsSource(settings)
    directory = secrets_directory()
    if directory is None:
        return (environment,)
    return environment, SecretsSettingsSource(settings, secrets_dir=directory)
