"""The ``alerts`` and ``http`` sections of the root file: how people hear of the daemon."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from keeper.config.section import Section
from keeper.config.values import Positive, parse_positive

TOKEN_VARIABLE: Final = "KEEPER_HALT_TOKEN"  # noqa: S105 - a name, not a token
"""Allows to halt over HTTP; a secret of the operator's, never in a file of settings."""


def split_words(value: object) -> object:
    """Return the items of a list, or of a text with spaces or line breaks between them."""
    if value is None:
        return ()
    return value.split() if isinstance(value, str) else value


def parse_port(value: object) -> int:
    """Return a TCP port."""
    most = 65_535
    try:
        port = parse_positive(value)
    except ValueError:
        port = most + 1
    if port > most:
        msg = f"expected a TCP port from 1 to {most}"
        raise ValueError(msg)
    return port


def parse_host(value: object) -> str:
    """Return a host to listen on. Nothing is refused: sockets take it for every interface."""
    host = value.strip() if isinstance(value, str) else ""
    if not host or any(map(str.isspace, host)):
        msg = "expected a host name or an IP address"
        raise ValueError(msg)
    return host


def parse_host_name(value: object) -> str:
    """Return a host name by which the endpoint is asked."""
    name = parse_host(value)
    if set(name) & set(":/"):
        msg = "expected a host name without scheme and port"
        raise ValueError(msg)
    return name


class AlertSettings(Section):
    """Who is told when something needs a person."""

    urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split_words)] = ()
    """URLs of apprise, with spaces between them: from the environment or a secret file only."""
    least: Literal["info", "warning", "critical"] = "warning"
    repeat_s: Positive = 3_600
    """Seconds before trouble that is not over is told again."""
    most_per_hour: Positive = 30


class HttpSettings(Section):
    """The daemon's own endpoint: metrics, health, a status page and the kill switch."""

    port: Annotated[int, BeforeValidator(parse_port)] | None = None
    """None keeps it off."""
    host: Annotated[str, BeforeValidator(parse_host)] = "127.0.0.1"
    """Loopback by default: what it shows is nobody else's business."""
    names: Annotated[
        tuple[Annotated[str, BeforeValidator(parse_host_name)], ...],
        NoDecode,
        BeforeValidator(split_words),
    ] = ()
    """By which a proxy or another machine asks, besides ``host`` and addresses; spaces between."""
