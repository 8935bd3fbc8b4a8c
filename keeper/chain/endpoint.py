"""Where a node listens, named without its secrets."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from keeper.core.errors import ConfigError


class EndpointKind(Enum):
    """How to talk to a node."""

    HTTP = "http"
    WEBSOCKET = "websocket"
    IPC = "ipc"


_SCHEMES = {
    "http": EndpointKind.HTTP,
    "https": EndpointKind.HTTP,
    "ws": EndpointKind.WEBSOCKET,
    "wss": EndpointKind.WEBSOCKET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A node's address. Only ``label`` may be shown: the address can hold an API key."""

    kind: EndpointKind
    address: str = field(repr=False)
    """The URL, or the path of the socket."""
    label: str
    """Scheme and host, or the path of the socket."""
    forks: bool = False
    """Whether it is an anvil that forks another node, and is asked with care."""

    @property
    def pushes(self) -> bool:
        """Tell whether the node can send notifications here."""
        return self.kind is not EndpointKind.HTTP


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint of a URL, of ``ipc:PATH`` or of a path; raise ConfigError."""
    if text.startswith("ipc:") and (path := text.removeprefix("ipc:").removeprefix("//")):
        return _ipc(path)
    if "://" not in text:
        if _is_path(text):
            return _ipc(text)
        wanted = "a URL with its scheme, as wss://, or the path of an IPC socket"
        raise ConfigError(f"rpc url: expected {wanted}, found neither")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as e:
        raise ConfigError(f"rpc url: expected a valid URL, found one with {e}") from e
    kind = _SCHEMES.get(url.scheme)
    if kind is None:
        msg = f"rpc url: expected http, https, ws, wss or ipc, found scheme {url.scheme!r}"
        raise ConfigError(msg)
    if not url.hostname:
        raise ConfigError(f"rpc url: expected a host after {url.scheme}://, found none")
    return Endpoint(kind=kind, address=text, label=_label(url, port))


def _label(url: SplitResult, port: int | None) -> str:
    host = url.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{shown}" + (f":{port}" if port is not None else "")


def _ipc(text: str) -> Endpoint:
    path = str(Path(text).expanduser())
    return Endpoint(kind=EndpointKind.IPC, address=path, label=f"ipc:{path}")


def _is_path(text: str) -> bool:
    """Return whether it is a socket's path: a URL without its scheme, key and all, is none."""
    return text.startswith(("/", "./", "../", "~/")) or text.endswith(".ipc")
