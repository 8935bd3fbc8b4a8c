"""``config/keeper.yaml``: what the daemon does, with which chain and protocols, within limits."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from keeper.config.endpoint import EndpointValue
from keeper.config.section import Section
from keeper.config.sending import SendingSettings
from keeper.config.sources import FileSettings
from keeper.config.values import (
    AddressValue,
    Bps,
    PathValue,
    Positive,
    Wei,
    distinct,
    filled,
    listed,
    split_list,
)
from keeper.config.watching import AlertSettings, HttpSettings


class Mode(StrEnum):
    """What happens to a plan that every check lets through."""

    OBSERVE = "observe"
    """Show and book what would have been sent. No key is read."""
    FORK = "fork"
    """Send on an anvil fork, with a throwaway key."""
    LIVE = "live"
    """Send on the chain, once the run is armed as well."""


_Listed = Annotated[
    tuple[AddressValue, ...],
    NoDecode,
    BeforeValidator(distinct),
    BeforeValidator(filled),
    BeforeValidator(split_list),
]
"""Addresses, at least one and each once."""


class LimitSettings(Section):
    """What every send must stay within. Wei, or text such as ``0.01 ether``."""

    min_profit_wei: Wei
    """Least net of a plan, after every cost; the contract enforces its share on chain."""
    min_profit_bps: Bps = 0
    """Least net as a share of the value repaid; the greater of the two least nets holds."""
    inclusion_haircut_bps: Bps = 0
    """Share of the proceeds that is not counted on, for each block that inclusion may take."""
    max_gas_price_wei: Wei
    """Most that a transaction may offer per gas; of it 1/11 is there for a cancellation alone."""
    max_gas_per_tx_wei: Wei
    """Most that the gas of one transaction may cost."""
    max_gas_per_hour_wei: Wei
    """Gas of the last hour's outcomes and of what is in flight, at the most that it may cost."""
    max_gas_per_day_wei: Wei
    """The same of the last day; no less than the hour's."""
    min_balance_wei: Wei
    """Native balance that must remain with the operator."""
    max_in_flight: Positive
    """Transactions without an outcome at one time."""
    slippage_bps: Bps
    """Most that a swap may bring less than forecast."""
    deadline_s: Positive
    """Seconds after its target block until the on-chain executor refuses a transaction."""
    tokens: _Listed | None = None
    """Only what may be borrowed, repaid, seized or swapped, with the wrapped native coin."""
    targets: _Listed | None = None
    """Only whom the executor contract may call (protocols, lenders, vaults, routers), with the
    wrapped native coin; pools to swap in are those of the venues' factories."""
    spenders: _Listed | None = None
    """Only who may be given an allowance of the executor contract's tokens, for one step: who is
    repaid (protocols, and lenders that take what is due) and routers."""


class Web3SignerSettings(Section):
    """A web3signer with its ETH1 API."""

    rpc: EndpointValue
    """Its URL; what may be secret in it comes from the environment."""
    addresses: _Listed
    """Whose keys to sign with."""
    timeout_ms: Positive = 1_000
    """Longest wait for a signature."""


class OperatorSettings(Section):
    """Where the key is. It is read when the run is armed, never before."""

    keystore: Annotated[tuple[PathValue, ...], NoDecode, BeforeValidator(listed)] = ()
    """One, or several: each is a signer of its own. ``keeper keys`` makes one."""
    password_file: PathValue | None = None
    """Of every keystore; else the environment or a prompt has it."""
    web3signer: Web3SignerSettings | None = None
    """Keys that another process holds. There are then none here."""


class AuditSettings(Section):
    """How the mirror is held against the chain."""

    sample: Positive = 50
    """Accounts compared at each look, beside those about to be acted on."""
    every_blocks: Positive = 5
    """Blocks between two looks."""


class LogSettings(Section):
    """How much is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """``auto`` is ``console`` on a terminal and ``json`` elsewhere."""


class KeeperSettings(FileSettings, env_prefix="KEEPER_"):
    """The root file; ``KEEPER_MODE`` or ``KEEPER_LIMITS__MIN_PROFIT_WEI`` override it."""

    mode: Mode = Mode.OBSERVE
    """``observe`` shows and books what would be sent, ``fork`` is a dry run, ``live`` may send."""
    chain: PathValue
    """The chain's file."""
    protocols: Annotated[
        tuple[PathValue, ...],
        NoDecode,
        BeforeValidator(distinct),
        BeforeValidator(filled),
        BeforeValidator(split_list),
    ]
    """The files of the deployments."""
    database: PathValue
    """Journal and books. What is beside it under its name belongs to it."""
    executor: AddressValue | None = None
    """The deployed on-chain executor; without it plans are rehearsed with one that is pretended."""
    recipient: AddressValue | None = None
    """Where profits go. None is the operator's own address."""
    operator: OperatorSettings = OperatorSettings()
    limits: LimitSettings
    sending: SendingSettings = SendingSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    http: HttpSettings = HttpSettings()
    confirm_dangerous: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = ()
    """Keys whose value is beyond what is sane, and meant."""


_GWEI: Final = 10**9
_ETHER: Final = 10**18

MOST: Final = {
    "max_gas_price_wei": 1_000 * _GWEI,
    "max_gas_per_tx_wei": 2 * _ETHER,
    "max_gas_per_hour_wei": 10 * _ETHER,
    "max_gas_per_day_wei": 50 * _ETHER,
    "max_in_flight": 50,
    "slippage_bps": 500,
    "deadline_s": 3_600,
}
"""The most that each limit may be without being confirmed."""

LEAST: Final = {"min_profit_wei": 1}
"""The least that each limit may be without being confirmed."""
