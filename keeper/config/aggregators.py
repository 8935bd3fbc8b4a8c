"""The ``aggregators`` of a chain file: whom to ask for a better sale, and what is allowed them."""

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr

from keeper.chain.endpoint import Endpoint, EndpointKind
from keeper.config.endpoint import EndpointValue
from keeper.config.section import Section
from keeper.config.values import AddressValue, Bps, Positive, distinct, filled


def _http(endpoint: Endpoint) -> Endpoint:
    if endpoint.kind is not EndpointKind.HTTP:
        msg = "expected an http or https URL"
        raise ValueError(msg)
    return endpoint


def _from_environment(value: object) -> SecretStr | None:
    """Return what the named variable holds: a key does not stand in a file."""
    if value is None or isinstance(value, SecretStr):
        return value
    held = os.environ.get(value) if isinstance(value, str) else None
    if not held or not held.isascii() or not held.isprintable():
        msg = "expected the name of an environment variable that holds a key"
        raise ValueError(msg)
    return SecretStr(held)


_Allowed = Annotated[tuple[AddressValue, ...], BeforeValidator(distinct), BeforeValidator(filled)]


class AggregatorSettings(Section):
    """One aggregator."""

    kind: Literal["zero_x", "one_inch", "paraswap", "odos"]
    url: Annotated[EndpointValue, AfterValidator(_http)]
    """Of its API, without the path."""
    targets: _Allowed
    """Contracts that its offers may have called."""
    spenders: _Allowed
    """Contracts that may be allowed exactly what is sold, for the one call."""
    api_key_env: Annotated[SecretStr | None, BeforeValidator(_from_environment)] = None
    """The environment variable that holds the key; None where none is needed."""
    deadline_ms: Positive = 400
    """How long the sale waits for it."""
    min_gain_bps: Bps = 5
    """Least gain of net over the local sale, as a share of what that brings."""
