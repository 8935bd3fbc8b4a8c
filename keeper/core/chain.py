"""Values read from and sent to a chain."""

from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct, field
from msgspec.structs import astuple

from keeper.core.units import Address, Hash32
from keeper.core.values import same


class BaseFeeRule(Struct, frozen=True, kw_only=True):
    """How the base fee of a block follows from the block before."""

    elasticity: int = 2
    """What the gas limit is over the gas that leaves the fee as it is."""
    denominator: int = 8
    """The fee moves by at most so much less ``elasticity`` one; 0 leaves it as it is."""
    least: int = 0
    """Wei per gas."""


EIP_1559: Final = BaseFeeRule()

_NO_IDENTITY: Final = 1
"""How many of the last fields of a block nodes need not tell alike."""


class BlockRef(Struct, frozen=True, kw_only=True):
    """A block, by number and hash, with what the next one is computed from."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    """Unix seconds."""
    base_fee: int
    """Wei per gas; 0 on a chain without EIP-1559."""
    gas_used: int
    gas_limit: int
    base_fee_rule: BaseFeeRule = EIP_1559
    """For the block after it."""
    logs_bloom: str = ""
    """The header's filter of what logged, in hex; empty where the node did not tell."""

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same block, whoever told of it."""
        return same(self, other, but=_NO_IDENTITY)

    def __hash__(self) -> int:
        """Return the hash of equal blocks."""
        return hash(self.hash)

    def unlike(self, found: "BlockRef") -> str:
        """Return what another's word of this block has otherwise, for an error to say."""
        told = zip(self.__struct_fields__, astuple(self), astuple(found), strict=True)
        return "; ".join(
            f"{name}: expected {one}, found {other}"
            for name, one, other in list(told)[:-_NO_IDENTITY]
            if one != other
        )


class Log(Struct, frozen=True, kw_only=True):
    """An event log as the node reports it."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    block_number: int
    block_hash: Hash32
    tx_hash: Hash32
    index: int
    removed: bool = False
    seen_ns: int = 0
    """When its push arrived, by ``time.perf_counter_ns``; 0 for a log that was read."""

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same log, pushed or read."""
        return same(self, other, but=1)

    def __hash__(self) -> int:
        """Return the hash of equal logs."""
        return hash((self.block_hash, self.index))


class LogHint(Protocol):
    """As much of a log as can be told at a glance. Its hex is as the node wrote it."""

    @property
    def address(self) -> str:
        """Who logged."""
        ...

    @property
    def topics(self) -> tuple[str, ...]:
        """What is indexed."""
        ...

    @property
    def block_number(self) -> str:
        """A hex quantity."""
        ...

    @property
    def block_hash(self) -> str:
        """Of that number there may be several blocks."""
        ...

    @property
    def log_index(self) -> str:
        """A hex quantity."""
        ...

    @property
    def removed(self) -> bool:
        """Whether a reorg took it."""
        ...


class LogFilter(Struct, frozen=True, kw_only=True):
    """Which logs to watch: any of the addresses, any of the first topics, any third argument."""

    addresses: frozenset[Address]
    topics: frozenset[Hash32]
    third: frozenset[Hash32] = frozenset()
    """Words of the third indexed argument, none for any. Other logs may come with them."""


class Call(Struct, frozen=True, kw_only=True):
    """A read-only call. ``gas`` caps what one call of a batch may burn."""

    to: Address
    data: bytes
    gas: int | None = None


class CallResult(Struct, frozen=True, kw_only=True):
    """What a call of a batch returned; on failure ``data`` is the revert data."""

    success: bool
    data: bytes


class Transaction(Struct, frozen=True, kw_only=True):
    """What a transaction does, before anybody prices, numbers or signs it."""

    sender: Address
    to: Address
    data: bytes
    value: int = 0
    """Wei."""


class StateOverride(Struct, frozen=True, kw_only=True):
    """Code, balance and storage that a simulation pretends an address has."""

    code: bytes | None = None
    balance: int | None = None
    storage: Mapping[int, int] = field(default_factory=dict)
    """Slot to word; other slots keep their value."""


class Simulated(Struct, frozen=True, kw_only=True):
    """The result of one simulated transaction."""

    success: bool
    gas_used: int
    logs: tuple[Log, ...]
    return_data: bytes
    error: str
    """The node's message when it failed, else empty."""


class Receipt(Struct, frozen=True, kw_only=True):
    """The chain's record of an included transaction."""

    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    index: int
    success: bool
    gas_used: int
    effective_gas_price: int
    l1_fee: int
    """Wei of L1 data fee on rollups that report one, else 0."""
    logs: tuple[Log, ...]


class Fees(Struct, frozen=True, kw_only=True):
    """EIP-1559 fee fields, wei per gas."""

    max_fee: int
    priority_fee: int


class DataCost(Struct, frozen=True, kw_only=True):
    """What a rollup charges for the data of one transaction."""

    wei: int = 0
    """On top of its gas."""
    gas: int = 0
    """As units of its own gas."""

    def at(self, gas_price: int) -> int:
        """Return all of it in wei."""
        return self.wei + self.gas * gas_price


NO_DATA_COST: Final = DataCost()
"""On a chain that is no rollup."""


def next_base_fee(block: BlockRef) -> int:
    """Return the base fee of the block after ``block``, wei per gas.

    Mirrors EIP-1559 (go-ethereum ``eip1559.CalcBaseFee``) with the numbers of the chain.
    """
    rule = block.base_fee_rule
    target = block.gas_limit // max(rule.elasticity, 1)
    if target in (block.gas_used, 0) or rule.denominator == 0:
        return max(block.base_fee, rule.least)
    delta = block.base_fee * abs(block.gas_used - target) // target // rule.denominator
    if block.gas_used > target:
        return max(block.base_fee + max(delta, 1), rule.least)
    return max(block.base_fee - delta, rule.least)
