"""Borrowers in bulk: genuine positions, many to a transaction, each in an account of its own."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Artifact, Contract, create_address
from keeper.devnet.packages import Progress
from keeper.devnet.population import Position, total
from keeper.devnet.sender import Sender
from keeper.devnet.tokens import approve_all, fund

_PER_TRANSACTION = 100
_PER_BLOCK = 1_000
_OPEN_GAS = 100_000_000
_MINIMUM_SUPPLY_USD = 25_000_000
_USD = 10**8
_FIRST_CLONE_NONCE = 2  # the factory's first creation is the implementation


def factory_artifact() -> Artifact:
    """Return our own `BorrowerFactory`, as committed beside its source."""
    text = files("keeper.devnet").joinpath("artifacts/BorrowerFactory.json").read_text("utf-8")
    content = json.loads(text)
    return Artifact(
        name="BorrowerFactory", abi=content["abi"], bytecode=content["bytecode"], links={}
    )


def deploy_factory(sender: Sender, pool: Address, tokens: Mapping[str, Contract]) -> Contract:
    """Queue the factory; the indices of its assets are those of `ASSETS`."""
    return sender.deploy(factory_artifact(), pool, [tokens[symbol].address for symbol in ASSETS])


def open_positions(
    sender: Sender,
    factory: Contract,
    tokens: Mapping[str, Contract],
    positions: Sequence[Position],
    *,
    already: int = 0,
    progress: Progress,
) -> list[Address]:
    """Open the positions, mining as it goes, and return their accounts in order.

    `already` is how many the factory opened before.
    """
    fund(sender, tokens, factory.address, total(p.collateral for p in positions))
    for start in range(0, len(positions), _PER_BLOCK):
        part = positions[start : start + _PER_BLOCK]
        for at in range(0, len(part), _PER_TRANSACTION):
            rows = b"".join(_row(position) for position in part[at : at + _PER_TRANSACTION])
            data = factory.encode("open", rows)
            sender.add("open positions", to=factory.address, data=data, gas=_OPEN_GAS)
        sender.mine()
        progress(f"opened {start + len(part):,} of {len(positions):,} positions")
    return [
        create_address(factory.address, _FIRST_CLONE_NONCE + already + number)
        for number in range(len(positions))
    ]


def supply_liquidity(
    supplier: Sender, pool: Contract, tokens: Mapping[str, Contract], positions: Sequence[Position]
) -> None:
    """Queue supplying what the positions borrow, thrice, and at least enough for flash loans."""
    debts = total(p.debt for p in positions)
    liquidity = {
        symbol: max(3 * debts[symbol], _MINIMUM_SUPPLY_USD * _USD * 10**spec.decimals // spec.price)
        for symbol, spec in ASSETS.items()
    }
    # Twice: what is supplied, and what the account keeps to liquidate and repay with in tests.
    fund(supplier, tokens, supplier.account, {s: 2 * amount for s, amount in liquidity.items()})
    approve_all(supplier, tokens, pool.address)
    for symbol, amount in liquidity.items():
        supplier.call(pool, "supply", tokens[symbol].address, amount, supplier.account, 0)


def _row(position: Position) -> bytes:
    order = list(ASSETS)
    head = bytes((position.category, len(position.collateral), len(position.debt)))
    legs = (*position.collateral.items(), *position.debt.items())
    return head + b"".join(
        bytes((order.index(symbol),)) + amount.to_bytes(16, "big") for symbol, amount in legs
    )
