"""Random life in the local Morpho Blue: genuine transactions, drawn from a seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from keeper.core.errors import InvariantError
from keeper.core.units import BPS, Address
from keeper.devnet.actions import ActionReport
from keeper.devnet.assets import ASSETS
from keeper.devnet.morpho import LocalIsolated, LocalMorpho
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender, held_mining, read_all

_GAS: Final = 2_000_000
_DAY_S: Final = 86_400
_REACH_BPS: Final = 700
_SHARES_PER_UNIT: Final = 10**6
_FEES_BPS: Final = (0, 500, 1_000, 2_500)


@dataclass(slots=True, kw_only=True)
class _Life:
    """What is known while actions are drawn."""

    local: LocalMorpho
    random: Random
    owner: Sender
    supplier: Sender
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def party(self) -> tuple[Address, LocalIsolated]:
        account, place = self.random.choice(self.local.borrowers)
        return account, self.local.markets[place]

    def raw(self, symbol: str, low_usd: int, high_usd: int) -> int:
        asset = ASSETS[symbol]
        usd = self.random.randint(low_usd, high_usd)
        amount: int = usd * 10**8 * 10**asset.decimals // asset.price
        return amount

    def by_supplier(self, what: str, function: str, *arguments: object) -> None:
        morpho = self.local.morpho
        data = morpho.encode(function, *arguments)
        self.supplier.add(what, to=morpho.address, data=data, gas=_GAS)

    def by_borrower(self, what: str, account: Address, function: str, *arguments: object) -> None:
        """Queue a call that a borrower makes of Morpho."""
        morpho, factory = self.local.morpho, self.local.borrower_factory
        inner = morpho.encode(function, *arguments)
        data = factory.encode("execute", account, morpho.address, inner)
        self.owner.add(what, to=factory.address, data=data, gas=_GAS)


Action = Callable[[_Life], None]


def random_morpho_actions(local: LocalMorpho, *, seed: int, count: int) -> ActionReport:
    """Make ``count`` random actions, a few to a block, and return how they went.

    What Morpho refuses is mined as a failed transaction, as in life.
    """
    rpc, accounts = local.live.rpc, local.live.market.accounts
    life = _Life(
        local=local,
        random=Random(seed),  # noqa: S311 - a market, not a secret
        owner=Sender.of(rpc, accounts.deployer),
        supplier=Sender.of(rpc, accounts.supplier),
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
    last_block = int(rpc.call("eth_blockNumber"), 16)
    return ActionReport(succeeded=life.succeeded, refused=life.refused, last_block=last_block)


def _mine(life: _Life) -> None:
    rpc = life.local.live.rpc
    with held_mining(rpc):
        sent = [one for sender in (life.supplier, life.owner) for one in sender.submit()]
        rpc.call("evm_mine")
    receipts = rpc.batch(("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in sent)
    for (queued, _), receipt in zip(sent, receipts, strict=True):
        if receipt is None:
            raise InvariantError(f"{queued.what}: expected it to be mined, found it pending")
        outcome = life.succeeded if receipt["status"] == "0x1" else life.refused
        outcome[queued.what] += 1


def _supply(life: _Life) -> None:
    market = life.random.choice(life.local.markets)
    amount = life.raw(market.spec.loan, 100, 50_000)
    life.by_supplier("supply", "supply", market.params, amount, 0, life.supplier.account, b"")


def _withdraw(life: _Life) -> None:
    market, me = life.random.choice(life.local.markets), life.supplier.account
    amount = life.raw(market.spec.loan, 100, 80_000)
    life.by_supplier("withdraw", "withdraw", market.params, amount, 0, me, me)


def _borrow(life: _Life) -> None:
    account, market = life.party()
    amount = life.raw(market.spec.loan, 1, 4_000)
    life.by_borrower("borrow", account, "borrow", market.params, amount, 0, account, account)


def _repay(life: _Life) -> None:
    account, market = life.party()
    amount = life.raw(market.spec.loan, 1, 3_000)
    if life.random.randrange(3) == 0:
        shares = _shares(life, market, account)
        life.by_supplier("repay all", "repay", market.params, 0, shares, account, b"")
        return
    life.by_supplier("repay", "repay", market.params, amount, 0, account, b"")


def _supply_collateral(life: _Life) -> None:
    account, market = life.party()
    amount = life.raw(market.spec.collateral, 10, 4_000)
    life.by_supplier("supply collateral", "supplyCollateral", market.params, amount, account, b"")


def _withdraw_collateral(life: _Life) -> None:
    account, market = life.party()
    amount = life.raw(market.spec.collateral, 10, 4_000)
    life.by_borrower(
        "withdraw collateral",
        account,
        "withdrawCollateral",
        market.params,
        amount,
        account,
        account,
    )


def _liquidate(life: _Life) -> None:
    account, market = life.party()
    seized = life.raw(market.spec.collateral, 1, 2_000) if life.random.randrange(2) else 0
    shares = 0 if seized else life.raw(market.spec.loan, 1, 2_000) * _SHARES_PER_UNIT
    life.by_supplier("liquidate", "liquidate", market.params, account, seized, shares, b"")


def _authorize(life: _Life) -> None:
    early = [one for one in life.local.markets if one.early is not None]
    if not early:
        return
    account, _ = life.party()
    agent, allowed = life.random.choice(early).early, life.random.randrange(3) > 0
    life.by_borrower("authorize", account, "setAuthorization", agent, allowed)


def _accrue(life: _Life) -> None:
    market = life.random.choice(life.local.markets)
    life.by_supplier("accrue", "accrueInterest", market.params)


def _set_fee(life: _Life) -> None:
    market, morpho = life.random.choice(life.local.markets), life.local.morpho
    fee = life.random.choice(_FEES_BPS) * 10**14
    data = morpho.encode("setFee", market.params, fee)
    life.owner.add("set a fee", to=morpho.address, data=data, gas=_GAS)


def _move_price(life: _Life) -> None:
    symbol = life.random.choice(("WETH", "WBTC", "wstETH"))
    price = oracle_prices(life.local.live)[symbol]
    change = life.random.randint(-_REACH_BPS, _REACH_BPS // 2)
    push_prices(life.local.live, {symbol: price * (BPS + change) // BPS})
    life.succeeded["move a price"] += 1


def _pass_time(life: _Life) -> None:
    rpc = life.local.live.rpc
    now = int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    rpc.call("evm_setNextBlockTimestamp", now + life.random.randint(60, 20 * _DAY_S))
    life.succeeded["pass time"] += 1


def _shares(life: _Life, market: LocalIsolated, account: Address) -> int:
    """Return what an account owes, in shares."""
    key = bytes.fromhex(market.id[2:])
    (position,) = read_all(life.local.live.rpc, [(life.local.morpho, "position", (key, account))])
    found: int = position[1]
    return found


_ACTIONS: Sequence[tuple[Action, int]] = (
    (_supply, 8),
    (_withdraw, 8),
    (_borrow, 16),
    (_repay, 14),
    (_supply_collateral, 8),
    (_withdraw_collateral, 12),
    (_liquidate, 14),
    (_authorize, 6),
    (_accrue, 4),
    (_set_fee, 3),
    (_move_price, 10),
    (_pass_time, 6),
)
