"""Random life on the local market: genuine transactions of borrowers, drawn from a seed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from msgspec import Struct

from keeper.core.errors import InvariantError
from keeper.core.units import BPS, MAX_UINT256, WAD, Address
from keeper.devnet.assets import ASSETS, CATEGORIES
from keeper.devnet.live import LiveMarket, account_data
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender, held_mining, read_all

_GAS = 2_000_000
_VARIABLE_RATE = 2
_ALL = MAX_UINT256
_USD = 10**8
_SAMPLE = 40
_DAY_S = 86_400
_REACH_BPS = 600
_PEGGED_REACH_BPS = 40

# Columns of `getUserReserveData`.
_COLLATERAL = 0
_DEBT = 2


class ActionReport(Struct, frozen=True, kw_only=True):
    """How many transactions of each kind succeeded and how many the protocol refused."""

    succeeded: Mapping[str, int]
    refused: Mapping[str, int]
    last_block: int


@dataclass(slots=True, kw_only=True)
class _Life:
    """What is known while actions are drawn."""

    live: LiveMarket
    random: Random
    owner: Sender
    supplier: Sender
    actors: Sequence[Sender]
    prices: Mapping[str, int]
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def borrower(self) -> Address:
        return self.random.choice(self.live.market.borrowers)

    def token(self) -> tuple[str, Address]:
        symbol = self.random.choice(tuple(ASSETS))
        return symbol, self.live.tokens[symbol].address

    def raw(self, symbol: str, low_usd: int, high_usd: int) -> int:
        usd = self.random.randint(low_usd, high_usd)
        amount: int = usd * _USD * 10 ** ASSETS[symbol].decimals // self.prices[symbol]
        return amount

    def through(self, what: str, borrower: Address, target: Address, data: bytes) -> None:
        """Queue a call that the borrower makes."""
        factory = self.live.borrower_factory
        call = factory.encode("execute", borrower, target, data)
        self.owner.add(what, to=factory.address, data=call, gas=_GAS)

    def pool(self, what: str, borrower: Address, function: str, *arguments: object) -> None:
        """Queue a call of the borrower to the pool."""
        pool = self.live.pool
        self.through(what, borrower, pool.address, pool.encode(function, *arguments))


Action = Callable[[_Life], None]


def random_actions(live: LiveMarket, *, seed: int, count: int) -> ActionReport:
    """Make `count` random actions, a few to a block, and return how they went.

    Supplies, borrows, repayments, withdrawals, liquidations, aToken transfers, collateral toggles,
    eMode changes, price moves and time jumps. What the protocol refuses is mined as a failed
    transaction, as in life; blocks are those of the node's own clock.
    """
    life = _Life(
        live=live,
        random=Random(seed),  # noqa: S311 - a market, not a secret
        owner=Sender.of(live.rpc, live.market.accounts.deployer),
        supplier=Sender.of(live.rpc, live.market.accounts.supplier),
        actors=[Sender.of(live.rpc, actor) for actor in live.market.accounts.actors],
        prices=oracle_prices(live),
    )
    done = 0
    while done < count:
        in_block = min(life.random.randint(1, 4), count - done)
        for _ in range(in_block):
            kinds = [action for action, _ in _ACTIONS]
            weights = [weight for _, weight in _ACTIONS]
            life.random.choices(kinds, weights=weights)[0](life)
        done += in_block
        _mine(life)
    last_block = int(live.rpc.call("eth_blockNumber"), 16)
    return ActionReport(succeeded=life.succeeded, refused=life.refused, last_block=last_block)


def _mine(life: _Life) -> None:
    rpc = life.live.rpc
    with held_mining(rpc):
        senders = (life.supplier, life.owner, *life.actors)
        sent = [one for sender in senders for one in sender.submit()]
        rpc.call("evm_mine")
    receipts = rpc.batch(("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in sent)
    for (queued, _), receipt in zip(sent, receipts, strict=True):
        if receipt is None:
            raise InvariantError(f"{queued.what}: expected it to be mined, found it pending")
        outcome = life.succeeded if receipt["status"] == "0x1" else life.refused
        outcome[queued.what] += 1


def _supply(life: _Life) -> None:
    symbol, token = life.token()
    amount = life.raw(symbol, 10, 5_000)
    data = life.live.pool.encode("supply", token, amount, life.borrower(), 0)
    life.supplier.add("supply", to=life.live.pool.address, data=data, gas=_GAS)


def _borrow(life: _Life) -> None:
    symbol, token = life.token()
    borrower, amount = life.borrower(), life.raw(symbol, 1, 3_000)
    life.pool("borrow", borrower, "borrow", token, amount, _VARIABLE_RATE, 0, borrower)


def _repay(life: _Life) -> None:
    borrower, symbol = _party(life, _DEBT)
    amount = life.raw(symbol, 1, 3_000)
    token, pool = life.live.tokens[symbol].address, life.live.pool
    if life.random.randrange(4) == 0:
        what = "repay with aTokens"
        gift = pool.encode("supply", token, amount, borrower, 0)
        life.supplier.add("supply", to=pool.address, data=gift, gas=_GAS)
        life.pool(what, borrower, "repayWithATokens", token, amount, _VARIABLE_RATE)
        return
    if life.random.randrange(4) == 0:
        # "All" by its name is refused on behalf of another: offer what surely covers it.
        amount = life.raw(symbol, 5_000_000, 5_000_000)
    data = pool.encode("repay", token, amount, _VARIABLE_RATE, borrower)
    life.supplier.add("repay", to=pool.address, data=data, gas=_GAS)


def _withdraw(life: _Life) -> None:
    borrower, symbol = _party(life, _COLLATERAL)
    everything = life.random.randrange(5) == 0
    amount = _ALL if everything else life.raw(symbol, 1, 2_000)
    token = life.live.tokens[symbol].address
    life.pool("withdraw", borrower, "withdraw", token, amount, borrower)


def _transfer(life: _Life) -> None:
    borrower, symbol = _party(life, _COLLATERAL)
    a_token = life.live.a_tokens[symbol]
    data = a_token.encode("transfer", life.borrower(), life.raw(symbol, 1, 1_000))
    life.through("transfer aTokens", borrower, a_token.address, data)


def _toggle(life: _Life) -> None:
    borrower, symbol = _party(life, _COLLATERAL)
    token, on = life.live.tokens[symbol].address, life.random.randrange(2) == 0
    life.pool("toggle collateral", borrower, "setUserUseReserveAsCollateral", token, on)


def _change_category(life: _Life) -> None:
    category = life.random.choice((0, *CATEGORIES))
    life.pool("change eMode", life.borrower(), "setUserEMode", category)


def _arrive(life: _Life) -> None:
    """Let an ordinary account take out a loan: not every borrower is a contract."""
    actor, pool = life.random.choice(life.actors), life.live.pool
    (supplied, collateral), (borrowed, debt) = life.token(), life.token()
    amount = life.raw(supplied, 2_000, 9_000)
    data = pool.encode("supply", collateral, amount, actor.account, 0)
    life.supplier.add("supply", to=pool.address, data=data, gas=_GAS)
    wanted = life.raw(borrowed, 100, 4_000)
    data = pool.encode("borrow", debt, wanted, _VARIABLE_RATE, 0, actor.account)
    actor.add("borrow by an ordinary account", to=pool.address, data=data, gas=_GAS)


def _liquidate(life: _Life) -> None:
    market, pool = life.live.market, life.live.pool
    sample = life.random.sample(market.borrowers, min(_SAMPLE, len(market.borrowers)))
    data = account_data(life.live, sample)
    sick = [a for a, row in zip(sample, data, strict=True) if row.health_factor < WAD]
    account = life.random.choice(sick or sample)
    collateral = life.random.choice(_symbols_of(life, account, _COLLATERAL) or tuple(ASSETS))
    debt = life.random.choice(_symbols_of(life, account, _DEBT) or tuple(ASSETS))
    amount = _ALL if life.random.randrange(2) else life.raw(debt, 1, 1_000)
    pair = (life.live.tokens[collateral].address, life.live.tokens[debt].address)
    receive = life.random.randrange(2) == 0
    call = pool.encode("liquidationCall", *pair, account, amount, receive)
    life.supplier.add("liquidate", to=pool.address, data=call, gas=_GAS)


def _move_price(life: _Life) -> None:
    symbol = life.random.choice(("WETH", "WBTC", "wstETH", "DAI"))
    reach = _PEGGED_REACH_BPS if symbol == "DAI" else _REACH_BPS
    change = life.random.randint(-reach, reach // 2)
    answer = life.prices[symbol] * (BPS + change) // BPS
    push_prices(life.live, {symbol: answer})
    life.prices = {**life.prices, symbol: answer}
    life.succeeded["move a price"] += 1


def _pass_time(life: _Life) -> None:
    rpc = life.live.rpc
    now = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    # evm_increaseTime does nothing while a block interval is set.
    rpc.call("evm_setNextBlockTimestamp", now + life.random.randint(60, 20 * _DAY_S))
    life.succeeded["pass time"] += 1


def _party(life: _Life, column: int) -> tuple[Address, str]:
    """Return a borrower and a symbol it holds, or owes: a random one if it has none."""
    borrower = life.borrower()
    symbols = _symbols_of(life, borrower, column) or tuple(ASSETS)
    return borrower, life.random.choice(symbols)


def _symbols_of(life: _Life, account: Address, column: int) -> tuple[str, ...]:
    live = life.live
    calls = [
        (live.data_provider, "getUserReserveData", (live.tokens[symbol].address, account))
        for symbol in ASSETS
    ]
    rows = read_all(live.rpc, calls)
    return tuple(symbol for symbol, row in zip(ASSETS, rows, strict=True) if row[column])


_ACTIONS: Sequence[tuple[Action, int]] = (
    (_supply, 10),
    (_borrow, 14),
    (_repay, 14),
    (_withdraw, 12),
    (_transfer, 8),
    (_toggle, 8),
    (_change_category, 6),
    (_arrive, 5),
    (_liquidate, 12),
    (_move_price, 10),
    (_pass_time, 5),
)
