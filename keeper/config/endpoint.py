"""The RPC endpoints of a chain as settings. No message shows a URL, as it may hold a secret."""

from typing import Annotated

from pydantic import BeforeValidator

from keeper.chain.endpoint import Endpoint, parse_endpoint
from keeper.core.errors import ConfigError


def accept_endpoint(value: object) -> Endpoint:
    """Return an endpoint of a URL or of an IPC socket's path."""
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str) or not value.strip():
        msg = "expected the URL of a node, or the path of its IPC socket"
        raise ValueError(msg)
    try:
        return parse_endpoint(value.strip())
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("rpc url: ")) from None


EndpointValue = Annotated[Endpoint, BeforeValidator(accept_endpoint)]
