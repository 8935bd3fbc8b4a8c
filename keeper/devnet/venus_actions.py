"""Random life on Venus: genuine transactions of borrowers, drawn from a seed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.units import BPS, WAD, Address
from keeper.devnet.actions import ActionReport
from keeper.devnet.assets import ASSETS, CATEGORIES
from keeper.devnet.contract import Contract
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender, held_mining, read_all
from keeper.devnet.tokens import WRAPPED_ETHER
from keeper.devnet.venus_market import LiveVenus, shortfalls
from keeper.devnet.venus_markets import NATIVE

FAILURE: Final = "0x45b96fe442630264581b197e84bbada861235052c5a1aadfff9ea4e40a969aa0"
"""topic0 of ``Failure(uint256,uint256,uint256)``: a refusal without a revert."""

_GAS: Final = 4_000_000
_USD: Final = 10**8
_REACH_BPS: Final = 600
_PEGGED_REACH_BPS: Final = 40
_MOST_BLOCKS: Final = 40


@dataclass(slots=True, kw_only=True)
class _Life:
    """What is known while actions are drawn."""

    live: LiveVenus
    random: Random
    supplier: Sender
    borrowers: Mapping[Address, Sender]
    prices: Mapping[str, int]
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def borrower(self) -> Sender:
        return self.borrowers[self.random.choice(self.live.venus.borrowers)]

    def market(self) -> tuple[str, Contract]:
        name = self.random.choice(tuple(self.live.markets))
        return name, self.live.markets[name]

    def raw(self, name: str, low_usd: int, high_usd: int) -> int:
        """Return an amount of a market's underlying."""
        spec = ASSETS[WRAPPED_ETHER if name == NATIVE else name]
        usd = self.random.randint(low_usd, high_usd)
        amount: int = usd * _USD * 10**spec.decimals // self.prices[spec.symbol]
        return amount


Action = Callable[[_Life], None]


def random_actions(live: LiveVenus, *, seed: int, count: int) -> ActionReport:
    """Make `count` random actions, a few to a block, and return how they went.

    Supplies, loans, repayments, redemptions, transfers of cTokens, markets entered and left, pools
    changed, VAI minted and repaid, accruals, liquidations, price moves and blocks that pass. What
    Venus refuses, with or without a revert, is mined as it is.
    """
    rpc = live.live.rpc
    accounts = live.live.market.accounts
    rpc.batch(("anvil_impersonateAccount", [one]) for one in live.venus.borrowers)
    life = _Life(
        live=live,
        random=Random(seed),  # noqa: S311 - a market, not a secret
        supplier=Sender.of(rpc, accounts.supplier),
        borrowers={one: Sender.of(rpc, one) for one in live.venus.borrowers},
        prices=oracle_prices(live.live),
    )
    allow_liquidations(live, life.supplier)
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


def allow_liquidations(live: LiveVenus, supplier: Sender) -> None:
    """Let the Liquidator take what the supplier repays, and VAI's controller too."""
    for token in (*live.live.tokens.values(), live.vai):
        supplier.call(token, "approve", live.venus.liquidator, 2**256 - 1)
    supplier.call(live.vai, "approve", live.venus.vai_controller, 2**256 - 1)
    supplier.mine()


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
        soft = any(FAILURE in log["topics"] for log in receipt["logs"])
        good = receipt["status"] == "0x1" and not soft
        (life.succeeded if good else life.refused)[queued.what] += 1


def _add(
    sender: Sender,
    what: str,
    contract: Contract,
    function: str,
    *arguments: object,
    value: int = 0,
) -> None:
    data = contract.encode(function, *arguments)
    sender.add(what, to=contract.address, data=data, value=value, gas=_GAS)


def _supply(life: _Life) -> None:
    name, token = life.market()
    amount = life.raw(name, 10, 5_000)
    if name == NATIVE:
        _add(life.supplier, "supply", token, "mint", value=amount)
        return
    _add(life.supplier, "supply", token, "mintBehalf", life.borrower().account, amount)


def _borrow(life: _Life) -> None:
    name, token = life.market()
    _add(life.borrower(), "borrow", token, "borrow", life.raw(name, 1, 3_000))


def _repay(life: _Life) -> None:
    borrower, name, token = _party(life, _OWED)
    amount = life.raw(name, 1, 3_000)
    if life.random.randrange(4) == 0:
        amount = life.raw(name, 5_000_000, 5_000_000)
    if name == NATIVE:
        owed = read_all(life.live.live.rpc, [(token, "borrowBalanceStored", (borrower.account,))])
        amount = min(amount, owed[0])
        _add(life.supplier, "repay", token, "repayBorrowBehalf", borrower.account, value=amount)
        return
    _add(life.supplier, "repay", token, "repayBorrowBehalf", borrower.account, amount)


def _redeem(life: _Life) -> None:
    borrower, _, token = _party(life, _HELD)
    tokens = _snapshot(life, borrower.account, token)[_HELD]
    share = life.random.choice((10, 100, BPS))
    _add(borrower, "redeem", token, "redeem", tokens * share // BPS)


def _transfer(life: _Life) -> None:
    borrower, _, token = _party(life, _HELD)
    tokens = _snapshot(life, borrower.account, token)[_HELD] // 50
    _add(borrower, "transfer", token, "transfer", life.borrower().account, tokens)


def _enter(life: _Life) -> None:
    _, token = life.market()
    borrower = life.borrower()
    _add(borrower, "enter a market", life.live.comptroller, "enterMarkets", [token.address])


def _leave(life: _Life) -> None:
    borrower, _, token = _party(life, _HELD)
    _add(borrower, "leave a market", life.live.comptroller, "exitMarket", token.address)


def _change_pool(life: _Life) -> None:
    pool = life.random.choice((0, *CATEGORIES))
    _add(life.borrower(), "change pool", life.live.comptroller, "enterPool", pool)


def _mint_vai(life: _Life) -> None:
    amount = life.random.randint(1, 500) * WAD
    _add(life.borrower(), "mint VAI", life.live.vai_controller, "mintVAI", amount)


def _accrue(life: _Life) -> None:
    _, token = life.market()
    _add(life.supplier, "accrue", token, "accrueInterest")


def _accrue_vai(life: _Life) -> None:
    _add(life.supplier, "accrue VAI", life.live.vai_controller, "accrueVAIInterest")


def _liquidate(life: _Life) -> None:
    short = {one: value for one, value in shortfalls(life.live).items() if value}
    account = life.random.choice(sorted(short) or life.live.venus.borrowers)
    owed = _markets_of(life, account, _OWED) or list(life.live.markets)
    held = _markets_of(life, account, _HELD) or list(life.live.markets)
    debt, collateral = life.random.choice(owed), life.random.choice(held)
    amount = life.raw(debt, 1, 2_000)
    tokens = life.live.markets
    _add(
        life.supplier,
        "liquidate",
        life.live.liquidator,
        "liquidateBorrow",
        tokens[debt].address,
        account,
        amount,
        tokens[collateral].address,
        value=amount if debt == NATIVE else 0,
    )


def _repay_vai(life: _Life) -> None:
    amount = life.random.choice((1, 7, 40, 5_000)) * WAD + life.random.randrange(WAD)
    account = life.borrower().account
    _add(life.supplier, "repay VAI", life.live.vai_controller, "repayVAIBehalf", account, amount)


def _move_price(life: _Life) -> None:
    symbol = life.random.choice(("WETH", "WBTC", "wstETH", "DAI"))
    reach = _PEGGED_REACH_BPS if symbol == "DAI" else _REACH_BPS
    change = life.random.randint(-reach, reach // 2)
    answer = life.prices[symbol] * (BPS + change) // BPS
    push_prices(life.live.live, {symbol: answer})
    life.prices = {**life.prices, symbol: answer}
    life.succeeded["move a price"] += 1


def _pass_blocks(life: _Life) -> None:
    life.live.live.rpc.call("anvil_mine", hex(life.random.randint(1, _MOST_BLOCKS)))
    life.succeeded["pass blocks"] += 1


_HELD: Final = 1
_OWED: Final = 2
"""Columns of ``getAccountSnapshot``."""


def _party(life: _Life, column: int) -> tuple[Sender, str, Contract]:
    """Return a borrower and a market it holds, or owes, in: any if it has none."""
    borrower = life.borrower()
    names = _markets_of(life, borrower.account, column) or list(life.live.markets)
    name = life.random.choice(names)
    return borrower, name, life.live.markets[name]


def _markets_of(life: _Life, account: Address, column: int) -> list[str]:
    calls = [(token, "getAccountSnapshot", (account,)) for token in life.live.markets.values()]
    rows = read_all(life.live.live.rpc, calls)
    return [name for name, row in zip(life.live.markets, rows, strict=True) if row[column]]


def _snapshot(life: _Life, account: Address, token: Contract) -> Sequence[int]:
    rows = read_all(life.live.live.rpc, [(token, "getAccountSnapshot", (account,))])
    found: Sequence[int] = rows[0]
    return found


_ACTIONS: Final[Sequence[tuple[Action, int]]] = (
    (_supply, 10),
    (_borrow, 14),
    (_repay, 12),
    (_redeem, 10),
    (_transfer, 6),
    (_enter, 6),
    (_leave, 6),
    (_change_pool, 5),
    (_mint_vai, 5),
    (_repay_vai, 3),
    (_accrue, 6),
    (_accrue_vai, 3),
    (_liquidate, 14),
    (_move_price, 8),
    (_pass_blocks, 8),
)
