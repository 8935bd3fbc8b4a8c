"""Borrowers of Venus on the local market: genuine positions of ordinary accounts."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.units import WAD, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import Progress
from keeper.devnet.population import Position, total
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, check_receipts, held_mining, read_all
from keeper.devnet.tokens import WRAPPED_ETHER, fund
from keeper.devnet.venus import Core
from keeper.devnet.venus_markets import NATIVE, initial_rate

PER_BLOCK: Final = 250
_GAS: Final = 3_000_000
_PURSE_WEI: Final = 10 * WAD
_MINIMUM_SUPPLY_USD: Final = 25_000_000
_USD: Final = 10**8
_VAI_USD: Final = 10_000
_VAI_DEBT_USD: Final = 12_000
_VAI_COLLATERAL: Final = ("WBTC", 30_000)
_VAI_BORROWERS: Final = 3


def supply_liquidity(
    supplier: Sender,
    live: LiveMarket,
    tokens: Mapping[str, Contract],
    positions: Sequence[Position],
) -> None:
    """Queue supplying every market thrice what the positions borrow, and a minimum."""
    debts = total(p.debt for p in positions)
    for name, token in tokens.items():
        spec = ASSETS[_asset_of(name)]
        least = _MINIMUM_SUPPLY_USD * _USD * 10**spec.decimals // spec.price
        amount = max(3 * debts[spec.symbol], least)
        if name == NATIVE:
            supplier.call(token, "mint", value=amount)
            continue
        asset = live.tokens[spec.symbol]
        # Twice: what is supplied, and what the account keeps to liquidate and repay with in tests.
        fund(supplier, live.tokens, supplier.account, {spec.symbol: 2 * amount})
        supplier.call(asset, "approve", token.address, 2**256 - 1)
        supplier.call(token, "mint", amount)


def open_positions(
    supplier: Sender,
    live: LiveMarket,
    core: Core,
    tokens: Mapping[str, Contract],
    positions: Sequence[Position],
    progress: Progress,
) -> list[Address]:
    """Open the positions, mining as it goes, and return their accounts in order.

    Ether is collateral and debt by turns in the native market and in that of wrapped ether. A few
    accounts at the end owe VAI too.
    """
    borrowers = [_account(number) for number in range(len(positions))]
    for start in range(0, len(positions), PER_BLOCK):
        part = list(zip(borrowers, positions, strict=True))[start : start + PER_BLOCK]
        _prepare(live.rpc, [account for account, _ in part])
        for number, (account, position) in enumerate(part):
            _give(supplier, live, tokens, account, _named(position.collateral, number))
        supplier.mine()
        senders = [
            _borrow(live.rpc, core, tokens, account, position, number)
            for number, (account, position) in enumerate(part)
        ]
        _mine(live.rpc, senders)
        progress(f"opened {start + len(part):,} of {len(positions):,} positions on Venus")
    _require_debts(live.rpc, tokens, borrowers, positions)
    return [*borrowers, *_open_vai(supplier, live, core, tokens, first=len(borrowers))]


def _asset_of(name: str) -> str:
    return WRAPPED_ETHER if name == NATIVE else name


def _named(amounts: Mapping[str, int], number: int) -> dict[str, int]:
    """Return amounts by market: every other account has its ether native."""
    native = number % 2 == 0
    return {
        NATIVE if native and symbol == WRAPPED_ETHER else symbol: amount
        for symbol, amount in amounts.items()
    }


def _account(number: int) -> Address:
    digits = hashlib.sha256(f"a borrower of Venus, {number}".encode()).hexdigest()
    return Address("0x" + digits[:40])


def _prepare(rpc: Rpc, accounts: Sequence[Address]) -> None:
    """Give accounts ether for gas, and make the node sign for them."""
    rpc.batch(("anvil_setBalance", [one, hex(_PURSE_WEI)]) for one in accounts)
    rpc.batch(("anvil_impersonateAccount", [one]) for one in accounts)


def _give(
    supplier: Sender,
    live: LiveMarket,
    tokens: Mapping[str, Contract],
    account: Address,
    amounts: Mapping[str, int],
) -> None:
    """Queue supplying on behalf of an account; native cTokens are made first and handed over."""
    for name, amount in amounts.items():
        if name == NATIVE:
            supplier.call(tokens[name], "mint", value=amount)
            made = amount * WAD // initial_rate(WRAPPED_ETHER)
            # Interest since the first supply has made cTokens dearer, if anything was borrowed.
            supplier.call(tokens[name], "transfer", account, made * 999 // 1_000)
            continue
        fund(supplier, live.tokens, supplier.account, {name: amount})
        supplier.call(tokens[name], "mintBehalf", account, amount)


def _borrow(
    rpc: Rpc,
    core: Core,
    tokens: Mapping[str, Contract],
    account: Address,
    position: Position,
    number: int,
) -> Sender:
    """Queue what an account does itself: choose its pool, enter its markets, borrow."""
    sender = Sender(rpc=rpc, account=account, nonce=0)
    comptroller = core.comptroller
    if position.category:
        _add(sender, comptroller, "enterPool", position.category)
    collateral = _named(position.collateral, number)
    _add(sender, comptroller, "enterMarkets", [tokens[name].address for name in collateral])
    for name, amount in _named(position.debt, number).items():
        _add(sender, tokens[name], "borrow", amount)
    return sender


def _open_vai(
    supplier: Sender,
    live: LiveMarket,
    core: Core,
    tokens: Mapping[str, Contract],
    *,
    first: int,
) -> list[Address]:
    """Open the positions that owe VAI, at prices that let them."""
    accounts = [_account(first + number) for number in range(_VAI_BORROWERS)]
    _prepare(live.rpc, accounts)
    symbol, dollars = _VAI_COLLATERAL
    spec = ASSETS[symbol]
    senders = []
    for number, account in enumerate(accounts):
        amount = dollars * _USD * 10**spec.decimals // spec.price
        _give(supplier, live, tokens, account, {symbol: amount})
        sender = Sender(rpc=live.rpc, account=account, nonce=0)
        _add(sender, core.comptroller, "enterMarkets", [tokens[symbol].address])
        _add(sender, core.vai_controller, "mintVAI", _VAI_USD * WAD)
        _add(sender, tokens["USDC"], "borrow", (_VAI_DEBT_USD - 500 * number) * 10**6)
        senders.append(sender)
    supplier.mine()
    _mine(live.rpc, senders)
    return accounts


def _add(sender: Sender, contract: Contract, function: str, *arguments: object) -> None:
    what = f"{contract.artifact.name}.{function}"
    data = contract.encode(function, *arguments)
    sender.add(what, to=contract.address, data=data, gas=_GAS)


def _mine(rpc: Rpc, senders: Sequence[Sender]) -> None:
    with held_mining(rpc):
        sent = [one for sender in senders for one in sender.submit()]
        rpc.call("evm_mine")
    check_receipts(rpc, sent)


def _require_debts(
    rpc: Rpc,
    tokens: Mapping[str, Contract],
    borrowers: Sequence[Address],
    positions: Sequence[Position],
) -> None:
    """Raise InvariantError when a market refused a loan: it says so without a revert."""
    wanted = [
        (name, account)
        for number, (account, position) in enumerate(zip(borrowers, positions, strict=True))
        for name in _named(position.debt, number % PER_BLOCK)
    ]
    owed = read_all(
        rpc, [(tokens[name], "borrowBalanceStored", (account,)) for name, account in wanted]
    )
    for (name, account), amount in zip(wanted, owed, strict=True):
        if amount == 0:
            raise InvariantError(f"{account}: expected a debt of {name}, found none")
