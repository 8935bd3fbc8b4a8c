"""What the root file and its chain's file must be to each other."""

from collections.abc import Callable
from typing import Final, NoReturn

from keeper.config.chain_file import ChainSettings
from keeper.config.complaints import suggestion
from keeper.config.document import Location
from keeper.config.keeper_file import KeeperSettings
from keeper.config.sending import PUBLIC_LANE
from keeper.core.errors import ConfigError
from keeper.core.fixed_point import mul_div_ceil
from keeper.core.gas_limit import CANCEL_GAS
from keeper.executor.ladder import BUMP_PERCENT, outbiddable

_WEI: Final = "a number without a unit is wei"

Origin = Callable[[Location], str]
"""Tells what a location of the root file comes from."""


def require_together(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for what each file may say, and not both of them."""
    _require_lane(root, chain, origin)
    _require_backrun(root, chain, origin)
    _require_rehearsed(root, chain, origin)
    _require_payable(root, chain, origin)
    _require_affordable(root, chain, origin)
    _require_patient(root, chain, origin)


def _refuse(origin: Origin, at: Location, wanted: str, found: str) -> NoReturn:
    key = ".".join(map(str, at))
    raise ConfigError(f"{origin(at)}: {key}: expected {wanted}, found {found}")


def _require_lane(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError unless the lane to send by is one of the chain's."""
    known = [PUBLIC_LANE, *(one.name for one in chain.lanes)]
    if root.sending.lane not in known:
        found = f"{root.sending.lane!r}{suggestion(root.sending.lane, known)}"
        _refuse(origin, ("sending", "lane"), f"one of {', '.join(map(repr, known))}", found)
    for name in known:
        if known.count(name) > 1:
            msg = f"{root.chain}: lanes: expected names of their own, found {name!r} twice"
            raise ConfigError(msg)


def _require_backrun(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for a backrun without bundles, or without seeing what is pending."""
    if not root.sending.backrun:
        return
    at = ("sending", "backrun")
    kinds = [one.kind for one in chain.lanes if one.name == root.sending.lane]
    if kinds != ["bundle"]:
        _refuse(origin, at, "sending.lane of kind bundle", f"lane {root.sending.lane!r}")
    if not chain.watch_mempool:
        _refuse(origin, at, f"watch_mempool: true in {root.chain}", "false")


def _require_rehearsed(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for a quorum beside what is sent on the word of one node's event."""
    found = root.sending.prearm_accounts
    if found and chain.quorum > 1:
        wanted = f"0 with quorum: {chain.quorum} in {root.chain}, for an event is one node's word"
        _refuse(origin, ("sending", "prearm_accounts"), wanted, str(found))


def _require_payable(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for a gas price under the chain's least tip: nothing could ever be sent.

    What is offered leaves room under the cap for what would cancel it.
    """
    most, least = root.limits.max_gas_price_wei, chain.priority_fee_wei
    if outbiddable(most) < least:
        needed = mul_div_ceil(least, BUMP_PERCENT, 100)
        wanted = f"at least 11/10 of priority_fee_wei of {root.chain}, {needed}"
        _refuse(origin, ("limits", "max_gas_price_wei"), wanted, f"{most}; {_WEI}")


def _require_affordable(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for a budget of a transaction that not even an empty one keeps."""
    most, least = root.limits.max_gas_per_tx_wei, CANCEL_GAS * chain.priority_fee_wei
    if most < least:
        wanted = f"at least {CANCEL_GAS:,} gas at priority_fee_wei of {root.chain}, {least}"
        _refuse(origin, ("limits", "max_gas_per_tx_wei"), wanted, f"{most}; {_WEI}")


def _require_patient(root: KeeperSettings, chain: ChainSettings, origin: Origin) -> None:
    """Raise ConfigError for a breaker that trips between any two blocks: a rearm would not last.

    Blocks of a chain whose timestamps are its own come when they like.
    """
    longest = root.sending.breaker.max_head_gap_s
    if chain.follows_wall_clock and 0 < longest <= chain.block_time_s:
        wanted = f"more than block_time_s of {root.chain}, {chain.block_time_s}, or 0 for no limit"
        _refuse(origin, ("sending", "breaker", "max_head_gap_s"), wanted, str(longest))
