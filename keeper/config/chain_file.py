"""``config/chains/<chain>.yaml``: a chain, its nodes, lenders and venues."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_settings import NoDecode

from keeper.chain.endpoint import Endpoint, EndpointKind
from keeper.config.aggregators import AggregatorSettings
from keeper.config.endpoint import EndpointValue
from keeper.config.lanes import LaneSettings
from keeper.config.section import Section
from keeper.config.sources import FileSettings
from keeper.config.unwinding import UnwindSettings, once_each
from keeper.config.values import (
    AddressValue,
    Name,
    Positive,
    Wei,
    Whole,
    distinct,
    filled,
    split_list,
)

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def _apart(nodes: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Return nodes of which none is named twice: a quorum of one node with itself is none.

    Those of one host, with keys of their own, are shown and remembered under labels of their own.
    """
    if len(set(map(_whereabouts, nodes))) < len(nodes):
        msg = "expected each node once"
        raise ValueError(msg)
    labels = [one.label for one in nodes]
    before = (labels[:place].count(label) for place, label in enumerate(labels))
    return tuple(
        replace(one, label=f"{one.label} ({count + 1})") if count else one
        for one, count in zip(nodes, before, strict=True)
    )


def _whereabouts(node: Endpoint) -> tuple[object, ...]:
    """Return what two names of one node have in common: case tells only keys in them apart."""
    if node.kind is EndpointKind.IPC:
        return (node.address,)
    url = urlsplit(node.address)
    port = url.port or _PORTS.get(url.scheme)
    own = url.username, url.password, url.path.rstrip("/"), url.query
    return url.scheme, url.hostname, port, *own


def _enough_nodes(quorum: int, info: ValidationInfo) -> int:
    nodes = info.data.get("rpc")
    if nodes is not None and quorum > len(nodes):
        msg = f"expected at most {len(nodes)}, the number of nodes in rpc"
        raise ValueError(msg)
    return quorum


class FlashSourceSettings(Section):
    """A contract that lends within one transaction."""

    kind: Literal["aave_v3", "morpho_blue", "balancer_v2", "uniswap_v3", "inventory"]
    pool: AddressValue
    """Aave's Pool, Morpho, Balancer's vault, a Uniswap V3 pool, or your own ``Inventory``."""


class UniswapV3Settings(Section):
    """A Uniswap V3 factory, or a fork of it with the same pools."""

    kind: Literal["uniswap_v3"]
    name: Name = "uniswap_v3"
    factory: AddressValue
    quoter_v2: AddressValue
    fee_tiers: Annotated[tuple[Positive, ...], BeforeValidator(distinct)]
    """Hundredths of a basis point: 500 is 0.05 %."""
    intermediates: Annotated[tuple[AddressValue, ...], BeforeValidator(distinct)] = ()
    """Tokens that a route may pass through."""


class UniswapV2Settings(Section):
    """A Uniswap V2 factory, or a fork of it with the same pairs."""

    kind: Literal["uniswap_v2"]
    name: Name = "uniswap_v2"
    factory: AddressValue
    fee: Annotated[Positive, Field(lt=2**16)] = 3_000
    """What its pairs keep of the amount in, hundredths of a basis point: 3000 is 0.3 %."""
    intermediates: Annotated[tuple[AddressValue, ...], BeforeValidator(distinct)] = ()
    """Tokens that a route may pass through."""


VenueSettings = UniswapV3Settings | UniswapV2Settings
"""One place to swap."""


def _named_apart(venues: tuple[VenueSettings, ...]) -> tuple[VenueSettings, ...]:
    names = [venue.name for venue in venues]
    if len(set(names)) < len(names):
        msg = f"expected venues of different names, found {', '.join(names)}"
        raise ValueError(msg)
    return venues


def _once_each(aggregators: tuple[AggregatorSettings, ...]) -> tuple[AggregatorSettings, ...]:
    kinds = [one.kind for one in aggregators]
    if len(set(kinds)) < len(kinds):
        msg = f"expected each aggregator once, found {', '.join(kinds)}"
        raise ValueError(msg)
    return aggregators


class SequencerSettings(Section):
    """The sequencer's uptime feed. While it is down, and for a while after, nothing is done."""

    feed: AddressValue
    """Chainlink proxy that answers 0 while the sequencer is up."""
    grace_s: Whole = 3_600
    """Seconds after a stop in which borrowers may still mend their loans."""


class ChainSettings(FileSettings, env_prefix="KEEPER_CHAIN_"):
    """A chain. ``KEEPER_CHAIN_RPC`` and its like override the file."""

    name: Name
    chain_id: Positive
    rpc: Annotated[
        tuple[EndpointValue, ...],
        NoDecode,
        AfterValidator(_apart),
        BeforeValidator(filled),
        BeforeValidator(split_list),
    ]
    """Nodes in the order they are tried."""
    quorum: Annotated[Positive, AfterValidator(_enough_nodes)] = 1
    """How many of them must tell alike what money rests on: see [faults](faults.md#a-quorum)."""
    max_lag_blocks: Positive = 3
    """A node that is further behind the others is not asked."""
    native_symbol: Name
    """What the native coin is called where amounts of it are shown."""
    wrapped_native: AddressValue
    native_feed: AddressValue
    """Chainlink proxy that prices the native coin in the currency of ``price_feeds``."""
    price_feeds: Annotated[Mapping[AddressValue, AddressValue], Field(default_factory=dict)]
    """Token to the Chainlink proxy of its price, for markets that do not price the native coin."""
    multicall3: AddressValue
    block_time_s: Positive
    confirmations: Whole
    """Blocks on top of an outcome before it is taken as settled."""
    finality_depth: Positive
    """A reorg that undoes more blocks is followed, but halts all sending until a rearm."""
    max_head_age_s: Positive
    """A head older than this is no head to act on."""
    max_head_lead_s: Positive = 60
    """Nor is a head that is further ahead of our clock."""
    follows_wall_clock: bool = True
    """False for a chain whose timestamps are its own, as a local one: heads have no age then."""
    sequencer: SequencerSettings | None = None
    """Of a rollup."""
    rollup: Literal["op_stack", "arbitrum"] | None = None
    """How the chain charges for a transaction's data; None when it is no rollup."""
    watch_mempool: bool = False
    """Look for price updates among pending transactions. It needs a node that pushes them."""
    priority_fee_wei: Wei
    flash_sources: Annotated[tuple[FlashSourceSettings, ...], BeforeValidator(filled)]
    venues: Annotated[
        tuple[Annotated[VenueSettings, Field(discriminator="kind")], ...],
        AfterValidator(_named_apart),
        BeforeValidator(filled),
    ]
    aggregators: Annotated[tuple[AggregatorSettings, ...], AfterValidator(_once_each)] = ()
    """Asked for a better sale than the venues'. None of them is asked unless it stands here."""
    unwind: Annotated[tuple[UnwindSettings, ...], AfterValidator(once_each)] = ()
    """Seized tokens that are redeemed for their underlying before anything is swapped."""
    lanes: tuple[Annotated[LaneSettings, Field(discriminator="kind")], ...] = ()
    """Private ways to the chain, for ``sending.lane`` to name."""
