"""The ``lanes`` of a chain file: ways to the chain other than the public mempool."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from keeper.config.endpoint import EndpointValue
from keeper.config.section import Section
from keeper.config.values import Name, Positive, filled, split_list


class PrivateLaneSettings(Section):
    """A private RPC that takes ``eth_sendPrivateTransaction``."""

    kind: Literal["private"]
    name: Name
    rpc: EndpointValue
    blocks: Positive = 25
    """For how many blocks the relay is to try."""
    signed: bool = True
    """Whether requests carry ``X-Flashbots-Signature``."""


class BundleLaneSettings(Section):
    """Builders that take ``eth_sendBundle``; each gets every bundle."""

    kind: Literal["bundle"]
    name: Name
    rpc: Annotated[tuple[EndpointValue, ...], BeforeValidator(filled), BeforeValidator(split_list)]
    signed: bool = True


LaneSettings = PrivateLaneSettings | BundleLaneSettings
"""One way to the chain."""
