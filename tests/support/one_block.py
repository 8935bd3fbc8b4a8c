"""Many liquidations of one market in one block: each is foretold on what those before it leave."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from keeper.chain.session import Chain
from keeper.core.chain import BlockRef, Transaction
from keeper.core.errors import RefusedError
from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import MAX_UINT256, Address
from keeper.devnet.contract import Contract
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender
from keeper.evm.program import Call, Program
from keeper.evm.program_encoder import encode
from keeper.evm.words import selector
from keeper.planner.build import protocol_call

_TRANSFER_FROM = selector("transferFrom(address,address,uint256)")
_MOST_GAS = 2_000_000
"""Of one liquidation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """A liquidation of the block, and its transaction."""

    ref: AccountRef
    option: Option
    quote: SeizeQuote
    is_moved: bool
    """Whether it would have been foretold otherwise if nobody had come before it."""
    transaction: Transaction
    view: Any
    """The market that it leaves."""


Sending = Callable[[Any, AccountRef, Option, SeizeQuote], Transaction]
"""The transaction of a quoted liquidation in a view."""


def foretell(
    adapter: Any, view: Any, positions: Mapping[AccountRef, Any], sending: Sending, chance: Random
) -> Iterator[Foretold]:
    """Yield a liquidation of every account that can be had, in any order and of any amount."""
    first = view
    for ref in chance.sample(sorted(positions), len(positions)):
        position = positions[ref]
        options = adapter.options(view, position)
        if not options:
            continue
        option = chance.choice(options)
        repay = chance.choice((option.max_repay, chance.randint(1, option.max_repay)))
        try:
            quote = adapter.seize(view, position, option, repay)
        except RefusedError:
            continue
        transaction = sending(view, ref, option, quote)
        view = adapter.market_after(view, position, option, quote)
        yield Foretold(
            ref=ref,
            option=option,
            quote=quote,
            is_moved=_alone(adapter, first, position, option, repay) != quote,
            transaction=transaction,
            view=view,
        )


async def differences(
    chain: Chain, adapter: Any, view: Any, block: BlockRef, foretold: Sequence[Foretold]
) -> list[str]:
    """Run them in the block after ``block``; return where the contracts did otherwise."""
    done = await chain.simulator.simulate(
        [one.transaction for one in foretold],
        base=block,
        timestamp=view.timestamp,
        base_fee=0,
        overrides={},
    )
    found = []
    for one, result in zip(foretold, done, strict=True):
        said = [(one.ref, one.quote.repay, one.quote.seized, one.quote.protocol_fee)]
        was = [
            (each.ref, each.repaid, each.seized, each.protocol_fee)
            for each in adapter.decode(view, result.logs)
        ]
        if said != was:
            found.append(f"{one.option}: expected {said}, found {was} {result.error}")
    return found


def mine(rpc: Rpc, view: Any, foretold: Sequence[Foretold]) -> None:
    """Have them mined in one block at the view's time."""
    sender = Sender.of(rpc, foretold[0].transaction.sender)
    for one in foretold:
        sender.add("liquidate", to=one.transaction.to, data=one.transaction.data, gas=_MOST_GAS)
    rpc.call("evm_setNextBlockTimestamp", view.timestamp)
    sender.mine()


def by_the_executor(adapter: Any, live: LiveMarket, *others: Contract) -> Sending:
    """Deploy the executor, which takes what it repays from a purse; return what it runs."""
    who = live.market.accounts
    executor = deploy_executor(
        live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    purse = Sender.of(live.rpc, who.supplier)
    for token in (*live.tokens.values(), *others):
        purse.call(token, "approve", executor, MAX_UINT256)
    purse.mine()

    def send(view: Any, ref: AccountRef, option: Option, quote: SeizeQuote) -> Transaction:
        calls = adapter.calls(view, ref, option, quote, executor)
        funds = Call(
            target=option.debt,
            selector=_TRANSFER_FROM,
            parts=(who.supplier, executor, quote.repay + quote.headroom),
        )
        program = Program(
            deadline=view.timestamp,
            profit_token=live.market.weth,
            min_profit=0,
            steps=(funds, *(protocol_call(one) for one in calls)),
        )
        return Transaction(sender=who.keeper, to=executor, data=encode(program))

    return send


def by_somebody(adapter: Any, liquidator: Address) -> Sending:
    """Return the calls of an account that has every token and has allowed the protocol it."""

    def send(view: Any, ref: AccountRef, option: Option, quote: SeizeQuote) -> Transaction:
        (call,) = adapter.calls(view, ref, option, quote, liquidator)
        return Transaction(sender=liquidator, to=call.target, data=call.data)

    return send


def _alone(adapter: Any, view: Any, position: Any, option: Option, repay: int) -> SeizeQuote | None:
    try:
        found: SeizeQuote = adapter.seize(view, position, option, repay)
    except RefusedError:
        return None
    return found
