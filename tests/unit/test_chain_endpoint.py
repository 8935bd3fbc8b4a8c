"""Endpoints are chosen by scheme and never show their secrets."""

import pytest

from keeper.chain.endpoint import EndpointKind, parse_endpoint
from keeper.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "kind", "label"),
    [
        ("http://127.0.0.1:8545", EndpointKind.HTTP, "http://127.0.0.1:8545"),
        ("https://node.example/v3/k3y", EndpointKind.HTTP, "https://node.example"),
        ("wss://user:k3y@node.example/ws", EndpointKind.WEBSOCKET, "wss://node.example"),
        ("ws://[::1]:8546", EndpointKind.WEBSOCKET, "ws://[::1]:8546"),
        ("/run/geth.ipc", EndpointKind.IPC, "ipc:/run/geth.ipc"),
        ("ipc:/run/geth.ipc", EndpointKind.IPC, "ipc:/run/geth.ipc"),
        ("geth.ipc", EndpointKind.IPC, "ipc:geth.ipc"),
        ("../node/socket", EndpointKind.IPC, "ipc:../node/socket"),
        ("ipc:node/socket", EndpointKind.IPC, "ipc:node/socket"),
    ],
)
def test_the_scheme_decides_and_the_label_is_the_host(
    text: str, kind: EndpointKind, label: str
) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.kind, endpoint.label) == (kind, label)
    assert "k3y" not in repr(endpoint)


def test_a_socket_in_the_home_folder_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/keeper")
    assert parse_endpoint("~/geth.ipc").address == "/home/keeper/geth.ipc"
    assert parse_endpoint("ipc:~/node").address == "/home/keeper/node"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ftp://host", "found scheme 'ftp'"),
        ("http://", "found none"),
        ("http://host:99999", "found one with"),
        ("localhost", "found neither"),
        ("", "found neither"),
        ("ipc:", "found neither"),
        ("node.example/v3/k3y", "found neither"),
    ],
)
def test_what_is_no_endpoint_is_refused(text: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        parse_endpoint(text)
