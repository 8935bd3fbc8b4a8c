"""Random life in Venus's isolated pools: genuine transactions of borrowers, drawn from a seed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from keeper.core.errors import InvariantError
from keeper.core.units import BPS, Address
from keeper.devnet.actions import ActionReport
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Contract
from keeper.devnet.isolated_market import LiveIsolated, LivePool
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender, held_mining, read_all

_GAS: Final = 5_000_000
_USD: Final = 10**8
_REACH_BPS: Final = 600
_PEGGED_REACH_BPS: Final = 40
_MOST_BLOCKS: Final = 40
_HELD: Final = 1
_OWED: Final = 2
"""Columns of ``getAccountSnapshot``."""


@dataclass(slots=True, kw_only=True)
class _Life:
    """What is known while actions are drawn."""

    live: LiveIsolated
    random: Random
    supplier: Sender
    borrowers: Mapping[Address, Sender]
    prices: Mapping[str, int]
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def party(self) -> tuple[LivePool, Sender]:
        """Return a pool and one of its borrowers."""
        pool = self.random.choice(self.live.pools)
        return pool, self.borrowers[self.random.choice(pool.pool.borrowers)]

    def raw(self, name: str, low_usd: int, high_usd: int) -> int:
        """Return an amount of an asset."""
        usd = self.random.randint(low_usd, high_usd)
        amount: int = usd * _USD * 10 ** ASSETS[name].decimals // self.prices[name]
        return amount


Action = Callable[[_Life], None]


def random_actions(live: LiveIsolated, *, seed: int, count: int) -> ActionReport:
    """Make `count` random actions, a few to a block, and return how they went.

    What the pools refuse is mined as it is.
    """
    rpc, accounts = live.live.rpc, live.live.market.accounts
    borrowers = [account for _, account in live.loans()]
    rpc.batch(("anvil_impersonateAccount", [one]) for one in borrowers)
    life = _Life(
        live=live,
        random=Random(seed),  # noqa: S311 - a market, not a secret
        supplier=Sender.of(rpc, accounts.supplier),
        borrowers={one: Sender.of(rpc, one) for one in borrowers},
        prices=oracle_prices(live.live),
    )
    kinds, weights = zip(*_ACTIONS, strict=True)
    done = 0
    while done < count:
        in_block = min(life.random.randint(1, 4), count - done)
        for action in life.random.choices(kinds, weights=weights, k=in_block):
            action(life)
        done += in_block
        _mine(life)
    last_block = int(rpc.call("eth_blockNumber"), 16)
    return ActionReport(succeeded=life.succeeded, refused=life.refused, last_block=last_block)


def _mine(life: _Life) -> None:
    rpc = life.live.live.rpc
    with held_mining(rpc):
        senders = (life.supplier, *life.borrowers.values())
        sent = [one for sender in senders for one in sender.submit()]
        rpc.call("evm_mine")
    receipts = rpc.batch(("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in sent)
    for (queued, _), receipt in zip(sent, receipts, strict=True):
        if receipt is None:
            raise InvariantError(f"{queued.what}: expected it to be mined, found it pending")
        good = receipt["status"] == "0x1"
        (life.succeeded if good else life.refused)[queued.what] += 1


def _add(sender: Sender, what: str, contract: Contract, function: str, *arguments: object) -> None:
    data = contract.encode(function, *arguments)
    sender.add(what, to=contract.address, data=data, gas=_GAS)


def _supply(life: _Life) -> None:
    pool, borrower = life.party()
    name = life.random.choice(tuple(pool.markets))
    amount = life.raw(name, 10, 5_000)
    _add(life.supplier, "supply", pool.markets[name], "mintBehalf", borrower.account, amount)


def _borrow(life: _Life) -> None:
    pool, borrower = life.party()
    name = life.random.choice(tuple(pool.markets))
    _add(borrower, "borrow", pool.markets[name], "borrow", life.raw(name, 1, 3_000))


def _repay(life: _Life) -> None:
    pool, borrower = life.party()
    name = _one_of(life, pool, borrower.account, _OWED)
    whole = life.random.randrange(4) == 0
    amount = life.raw(name, 5_000_000, 5_000_000) if whole else life.raw(name, 1, 3_000)
    _add(life.supplier, "repay", pool.markets[name], "repayBorrowBehalf", borrower.account, amount)


def _redeem(life: _Life) -> None:
    pool, borrower = life.party()
    name = _one_of(life, pool, borrower.account, _HELD)
    held = _snapshot(life, pool.markets[name], borrower.account)[_HELD]
    share = life.random.choice((10, 100, BPS))
    _add(borrower, "redeem", pool.markets[name], "redeem", held * share // BPS)


def _transfer(life: _Life) -> None:
    pool, borrower = life.party()
    name = _one_of(life, pool, borrower.account, _HELD)
    held = _snapshot(life, pool.markets[name], borrower.account)[_HELD] // 50
    to = life.random.choice(pool.pool.borrowers)
    _add(borrower, "transfer", pool.markets[name], "transfer", to, held)


def _enter(life: _Life) -> None:
    pool, borrower = life.party()
    token = life.random.choice(tuple(pool.markets.values()))
    _add(borrower, "enter a market", pool.comptroller, "enterMarkets", [token.address])


def _leave(life: _Life) -> None:
    pool, borrower = life.party()
    name = _one_of(life, pool, borrower.account, _HELD)
    token = pool.markets[name].address
    _add(borrower, "leave a market", pool.comptroller, "exitMarket", token)


def _accrue(life: _Life) -> None:
    pool, _ = life.party()
    token = life.random.choice(tuple(pool.markets.values()))
    _add(life.supplier, "accrue", token, "accrueInterest")


def _liquidate(life: _Life) -> None:
    pool, account = _short_one(life)
    debt = _one_of(life, pool, account, _OWED)
    collateral = pool.markets[_one_of(life, pool, account, _HELD)].address
    amount = life.raw(debt, 1, 2_000)
    order = (account, amount, collateral)
    _add(life.supplier, "liquidate", pool.markets[debt], "liquidateBorrow", *order)


def _heal(life: _Life) -> None:
    pool, account = _short_one(life)
    _add(life.supplier, "heal", pool.comptroller, "healAccount", account)


def _move_price(life: _Life) -> None:
    symbol = life.random.choice(("WETH", "WBTC", "wstETH", "DAI"))
    reach = _PEGGED_REACH_BPS if symbol == "DAI" else _REACH_BPS
    answer = life.prices[symbol] * (BPS + life.random.randint(-reach, reach // 2)) // BPS
    push_prices(life.live.live, {symbol: answer})
    life.prices = {**life.prices, symbol: answer}
    life.succeeded["move a price"] += 1


def _pass_blocks(life: _Life) -> None:
    life.live.live.rpc.call("anvil_mine", hex(life.random.randint(1, _MOST_BLOCKS)))
    life.succeeded["pass blocks"] += 1


def _short_one(life: _Life) -> tuple[LivePool, Address]:
    """Return a borrower that is short, any if nobody is."""
    loans = list(life.live.loans())
    calls = [(pool.comptroller, "getAccountLiquidity", (who,)) for pool, who in loans]
    rows = read_all(life.live.live.rpc, calls)
    short = [loan for loan, row in zip(loans, rows, strict=True) if row[2]]
    return life.random.choice(short or loans)


def _one_of(life: _Life, pool: LivePool, account: Address, column: int) -> str:
    """Return a market that an account holds, or owes, in: any if it has none."""
    calls = [(token, "getAccountSnapshot", (account,)) for token in pool.markets.values()]
    rows = read_all(life.live.live.rpc, calls)
    names = [name for name, row in zip(pool.markets, rows, strict=True) if row[column]]
    return life.random.choice(names or list(pool.markets))


def _snapshot(life: _Life, token: Contract, account: Address) -> Sequence[Any]:
    found: Sequence[Any] = read_all(
        life.live.live.rpc, [(token, "getAccountSnapshot", (account,))]
    )[0]
    return found


_ACTIONS: Final[Sequence[tuple[Action, int]]] = (
    (_supply, 10),
    (_borrow, 14),
    (_repay, 12),
    (_redeem, 10),
    (_transfer, 6),
    (_enter, 6),
    (_leave, 6),
    (_accrue, 6),
    (_liquidate, 12),
    (_heal, 6),
    (_move_price, 8),
    (_pass_blocks, 8),
)
