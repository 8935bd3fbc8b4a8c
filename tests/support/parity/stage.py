"""A market on a node of its own, to which steps happen, a block of them at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from keeper.core.lending import AccountRef, Leg, Legs
from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.chainlink import submit_answers
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.sentinel import Sequencer, install_sentinel
from keeper.devnet.tokens import fund

GRACE_S = 120
BLOCK_S = 12
LONGEST_S = 5 * 365 * 86_400
"""Of all jumps together: beyond it, interest on interest would leave the contracts' range."""

_GAS = 5_000_000
_USD = 10**8
_HOARD_USD = 10**10
"""So that no liquidation fails for want of tokens."""
_UMBRELLA = b"UMBRELLA".ljust(32, b"\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Props:
    """What a market gets once, before anything happens to it."""

    sequencer: Sequencer
    simple_receiver: Contract
    receiver: Contract


@dataclass(slots=True, kw_only=True)
class Stage:
    """Queues the transactions of one block; what is looked up is of the block before."""

    live: LiveMarket
    props: Props
    owner: Sender
    supplier: Sender
    oracle_node: Sender
    configurator: Sender
    actors: Mapping[Address, Sender]
    legs: Mapping[Address, Legs] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)
    cash: Mapping[str, int] = field(default_factory=dict)
    refs: Sequence[AccountRef] = ()
    wait_s: int = BLOCK_S
    passed_s: int = 0
    succeeded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def is_oldest(self) -> bool:
        return self.live.market.aave == "3.0"

    def account(self, number: int) -> Address:
        """Return somebody of the cast: the borrowers, and a few ordinary accounts."""
        cast = (*self.live.market.borrowers, *self.actors)
        return cast[number % len(cast)]

    def symbol(self, number: int) -> str:
        return tuple(ASSETS)[number % len(ASSETS)]

    def token(self, symbol: str) -> Address:
        return self.live.tokens[symbol].address

    def raw(self, symbol: str, usd: int) -> int:
        return usd * _USD * 10 ** ASSETS[symbol].decimals // self.prices[symbol]

    def held(self, account: Address, number: int) -> tuple[str, int]:
        """Return one of an account's collaterals, or an asset that it has none of."""
        return self._leg(self.legs[account].collateral if account in self.legs else (), number)

    def owed(self, account: Address, number: int) -> tuple[str, int]:
        """Return one of an account's debts, or an asset that it owes none of."""
        return self._leg(self.legs[account].debt if account in self.legs else (), number)

    def by(self, account: Address, what: str, target: Contract, *call: object) -> None:
        """Queue a call that an account of the cast makes."""
        function, *arguments = call
        data = target.encode(str(function), *arguments)
        if account in self.actors:
            self.actors[account].add(what, to=target.address, data=data, gas=_GAS)
            return
        factory = self.live.borrower_factory
        through = factory.encode("execute", account, target.address, data)
        self.owner.add(what, to=factory.address, data=through, gas=_GAS)

    def supply(self, what: str, target: Contract, *call: object) -> None:
        """Queue a call of the account that has tokens of every kind."""
        function, *arguments = call
        data = target.encode(str(function), *arguments)
        self.supplier.add(what, to=target.address, data=data, gas=_GAS)

    def govern(self, function: str, *arguments: object) -> None:
        """Queue a call of the market's admin to the configurator."""
        data = self.live.configurator.encode(function, *arguments)
        where = self.live.configurator.address
        self.owner.add(f"governance {function}", to=where, data=data, gas=_GAS)

    def answer(self, symbol: str, answer: int) -> None:
        """Queue a round of a price feed."""
        submit_answers(self.live.rpc, self.oracle_node, self.live.aggregators, {symbol: answer})

    def pass_time(self, seconds: int) -> None:
        """Let the block come so much later."""
        self.wait_s += min(seconds, LONGEST_S - self.passed_s)

    def mine(self, timestamp: int) -> list[tuple[str, dict[str, object]]]:
        """Mine what is queued in one block at `timestamp`; return each name with its receipt."""
        rpc = self.live.rpc
        admins = (self.owner, self.configurator)
        senders = (self.supplier, *admins, self.oracle_node, *self.actors.values())
        sent = [one for sender in senders for one in sender.submit()]
        rpc.batch([("evm_setNextBlockTimestamp", [timestamp]), ("evm_mine", [])])
        self.passed_s += self.wait_s
        self.wait_s = BLOCK_S
        receipts = rpc.batch(("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in sent)
        for (queued, _), receipt in zip(sent, receipts, strict=True):
            assert receipt is not None, f"{queued.what} was not mined"
            counts = self.succeeded if receipt["status"] == "0x1" else self.refused
            counts[queued.what] += 1
        return [(queued.what, r) for (queued, _), r in zip(sent, receipts, strict=True)]

    def _leg(self, legs: Sequence[Leg], number: int) -> tuple[str, int]:
        if not legs:
            return self.symbol(number), 0
        chosen = legs[number % len(legs)]
        symbol = next(a.symbol for a in self.live.market.assets if a.token == chosen.asset)
        return symbol, chosen.amount


def furnish(live: LiveMarket) -> Props:
    """Give a market a sequencer that has been up for long, and receivers of flash loans."""
    admin = Sender.of(live.rpc, live.market.accounts.deployer)
    sequencer = install_sentinel(live, grace_s=GRACE_S)
    admin = Sender.of(live.rpc, live.market.accounts.deployer)
    simple, several = (admin.deploy(artifact, live.provider.address) for artifact in _receivers())
    supplier = live.market.accounts.supplier
    # Who may cover deficits; of no meaning before 3.3.
    admin.call(live.provider, "setAddress", _UMBRELLA, supplier)
    if live.market.aave == "3.0":
        for token in live.tokens.values():
            admin.call(live.configurator, "setReserveStableRateBorrowing", token.address, True)
    admin.mine()
    for actor in live.market.accounts.actors:
        _approve(live, actor)
    # For what governance may only do to an empty reserve, and what upgrades left behind.
    live.rpc.call("anvil_impersonateAccount", live.market.configurator)
    live.rpc.call("anvil_setBalance", live.market.configurator, hex(10**20))
    giver = Sender.of(live.rpc, supplier)
    fund(
        giver,
        live.tokens,
        supplier,
        {s: _HOARD_USD * _USD * 10**a.decimals // a.price for s, a in ASSETS.items()},
    )
    giver.mine()
    # A quarter of the loans is to be near the line or below it when histories begin.
    push_prices(live, {s: ASSETS[s].price * 88 // 100 for s in ("WETH", "WBTC", "wstETH")})
    now = int(live.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    live.rpc.call("evm_setNextBlockTimestamp", now + 3_600)
    live.rpc.call("evm_mine")
    return Props(sequencer=sequencer, simple_receiver=simple, receiver=several)


@contextmanager
def staged(live: LiveMarket, props: Props) -> Iterator[Stage]:
    """Open the stage on a furnished market; what happens on it is undone."""
    rpc, accounts = live.rpc, live.market.accounts
    rpc.call("evm_setAutomine", False)
    kept = rpc.call("evm_snapshot")
    try:
        yield Stage(
            live=live,
            props=props,
            owner=Sender.of(rpc, accounts.deployer),
            supplier=Sender.of(rpc, accounts.supplier),
            oracle_node=Sender.of(rpc, accounts.oracle_node),
            configurator=Sender.of(rpc, live.market.configurator),
            actors={actor: Sender.of(rpc, actor) for actor in accounts.actors},
        )
    finally:
        rpc.call("evm_revert", kept)


def _receivers() -> list[Artifact]:
    mocks = ensure("aave-core-v3") / "artifacts" / "contracts" / "mocks" / "flashloan"
    return [
        load_artifact(mocks / f"{file}.sol" / f"{name}.json")
        for file, name in (
            ("MockSimpleFlashLoanReceiver", "MockFlashLoanSimpleReceiver"),
            ("MockFlashLoanReceiver", "MockFlashLoanReceiver"),
        )
    ]


def _approve(live: LiveMarket, actor: Address) -> None:
    sender = Sender.of(live.rpc, actor)
    fund(sender, live.tokens, actor, {s: 10**24 for s in ASSETS if s != "WETH"})
    for token in live.tokens.values():
        sender.call(token, "approve", live.pool.address, 2**256 - 1)
    sender.mine()
