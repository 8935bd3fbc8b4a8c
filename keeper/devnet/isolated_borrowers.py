"""Borrowers of Venus's isolated pools: ordinary loans, and loans below the least collateral."""

import hashlib
from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import Struct

from keeper.core.units import BPS, WAD, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.isolated import MadePool
from keeper.devnet.live import LiveMarket
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, check_receipts, held_mining
from keeper.devnet.tokens import approve_all, fund

_PURSE_WEI: Final = 10 * WAD
_SUPPLY_USD: Final = 20_000_000
_USD: Final = 10**8
_GAS: Final = 3_000_000
_SMALL: Final = 3
"""Every so many loans one is small."""
_SMALL_USD: Final = (55, 105)
_LARGE_USD: Final = (1_000, 60_000)


class Loan(Struct, frozen=True, kw_only=True):
    """A loan to open: raw amounts by asset."""

    account: Address
    collateral: dict[str, int]
    debt: dict[str, int]


def draw_loans(made: MadePool, *, seed: int, count: int) -> tuple[Loan, ...]:
    """Return a pool's loans: the same for the same seed and number."""
    random = Random(f"{made.spec.name} {seed}")  # noqa: S311 - a market, not a secret
    return tuple(_loan(made, random, number) for number in range(count))


def supply(supplier: Sender, live: LiveMarket, made: MadePool) -> None:
    """Queue supplying every market, and a purse to liquidate and repay with."""
    for name, token in made.markets.items():
        amount = _raw(name, _SUPPLY_USD)
        fund(supplier, live.tokens, supplier.account, {name: 2 * amount})
        approve_all(supplier, {name: live.tokens[name]}, token.address)
        supplier.call(token, "mint", amount)


def open_loans(supplier: Sender, live: LiveMarket, made: MadePool, loans: Sequence[Loan]) -> None:
    """Open the loans, each an account's own."""
    rpc = live.rpc
    rpc.batch(("anvil_setBalance", [one.account, hex(_PURSE_WEI)]) for one in loans)
    rpc.batch(("anvil_impersonateAccount", [one.account]) for one in loans)
    for one in loans:
        for name, amount in one.collateral.items():
            fund(supplier, live.tokens, supplier.account, {name: amount})
            supplier.call(made.markets[name], "mintBehalf", one.account, amount)
    supplier.mine()
    with held_mining(rpc):
        sent = [done for one in loans for done in _borrower(rpc, made, one).submit()]
        rpc.call("evm_mine")
    check_receipts(rpc, sent)


def _borrower(rpc: Rpc, made: MadePool, loan: Loan) -> Sender:
    sender = Sender(rpc=rpc, account=loan.account, nonce=0)
    entered = [made.markets[name].address for name in loan.collateral]
    data = made.comptroller.encode("enterMarkets", entered)
    sender.add("enterMarkets", to=made.comptroller.address, data=data, gas=_GAS)
    for name, amount in loan.debt.items():
        data = made.markets[name].encode("borrow", amount)
        sender.add(f"borrow {name}", to=made.markets[name].address, data=data, gas=_GAS)
    return sender


def _loan(made: MadePool, random: Random, number: int) -> Loan:
    names = sorted(made.spec.assets)
    small = number % _SMALL == 0
    collateral = random.sample(names, 1 if small or random.randrange(3) else 2)
    others = [one for one in names if one not in collateral] or names
    debt = random.sample(others, min(len(others), 1 if small or random.randrange(3) else 2))
    dollars = random.randint(*(_SMALL_USD if small else _LARGE_USD))
    held = {name: _raw(name, dollars) for name in collateral}
    room = sum(_weighted(name, dollars) for name in collateral)
    use_bps = random.randint(9_000, 9_950)
    share = room * use_bps // BPS // len(debt)
    return Loan(
        account=_account(made.spec.name, number),
        collateral=held,
        debt={name: share * 10 ** ASSETS[name].decimals // _opening(name) for name in debt},
    )


def _weighted(name: str, dollars: int) -> int:
    """Return what a collateral lets be borrowed at opening prices, dollars at 1e8."""
    spec = ASSETS[name]
    value: int = dollars * _USD * spec.opening_bps // BPS * spec.ltv_bps // BPS
    return value


def _opening(name: str) -> int:
    spec = ASSETS[name]
    price: int = spec.price * spec.opening_bps // BPS
    return price


def _raw(name: str, dollars: int) -> int:
    spec = ASSETS[name]
    amount: int = dollars * _USD * 10**spec.decimals // spec.price
    return amount


def _account(pool: str, number: int) -> Address:
    digits = hashlib.sha256(f"a borrower of {pool}, {number}".encode()).hexdigest()
    return Address("0x" + digits[:40])
