"""Hold a configuration against the chain: every address, feed and role, one finding each."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from msgspec import Struct

from keeper.app.addresses import named_contracts
from keeper.app.builders import protocol_file, unwinder_for
from keeper.app.examine_chain import ChainExam
from keeper.app.examine_feeds import examine_feeds
from keeper.app.examine_start import examine_start
from keeper.app.executor_contract import ExecutorContract, read_executor
from keeper.app.finding import Finding
from keeper.app.halts import found_halt
from keeper.app.inventories import inventories, require_own_inventories
from keeper.app.opening import adapters, opened_chain
from keeper.app.totals import require_dollars
from keeper.chain.session import Chain
from keeper.config.protocol_file import ForcedSettings
from keeper.config.settings import Settings
from keeper.config.unwinding import UnwindSettings
from keeper.core.chain import BlockRef, StateOverride, Transaction
from keeper.core.errors import KeeperError
from keeper.core.text import decimal
from keeper.core.units import WAD, Address
from keeper.mirror.pauses import Pauses
from keeper.oracle.chainlink import decode_round, round_call
from keeper.oracle.guards import clock_problem, sequencer_problem
from keeper.protocols.registry import AnyAdapter
from keeper.runtime.clock import Clock, SystemClock
from keeper.runtime.private import exposure


class _Ground(Struct, frozen=True, kw_only=True):
    settings: Settings
    chain: Chain
    head: BlockRef
    now: int
    """Unix seconds by our clock."""


async def examine(
    settings: Settings, clock: Clock | None = None, *, in_dollars: bool = False
) -> AsyncIterator[Finding]:
    """Yield every finding; ``in_dollars`` where budgets over all chains need the coin's price.

    Raises ConfigError only when the chain cannot be reached at all.
    """
    async with opened_chain(settings) as chain:
        head = await chain.reader.head()
        now = int((clock or SystemClock()).now())
        ground = _Ground(settings=settings, chain=chain, head=head, now=now)
        yield Finding(
            what="chain id", good=True, detail=f"{settings.chain.chain_id}, head {head.number}"
        )
        yield await _checked("head", _head(ground))
        yield await _checked("simulation", _simulation(ground))
        if in_dollars:
            yield await _checked("native_feed", _dollars(ground))
        async for finding in _contracts(ground):
            yield finding
        async for finding in _own(ground):
            yield finding
        for adapter in adapters(settings):
            async for finding in _deployment(ground, adapter):
                yield finding


async def _contracts(ground: _Ground) -> AsyncIterator[Finding]:
    """Check that each contract of the files is there, and that those of the chain's are theirs."""
    settings, missing = ground.settings, set[Address]()
    for one in named_contracts(settings):
        finding = await _checked(one.key, _code(ground, one.address))
        missing |= set() if finding.good else {one.address}
        yield finding
    exam = ChainExam(chain=settings.chain, reader=ground.chain.reader, head=ground.head)
    for what, address, check in exam.checks():
        if address not in missing:
            yield await _checked(what, check())
    for number, token in enumerate(settings.chain.unwind):
        yield await _checked(f"unwind.{number}", _unwinding(ground, token))


async def _own(ground: _Ground) -> AsyncIterator[Finding]:
    """Check what is the operator's: secrets, the executor contract, whether anything is halted."""
    settings = ground.settings
    if (password := settings.operator.password_file) is not None:
        yield await _checked("operator.password_file", _private(password, "a password file"))
    for keystore in settings.operator.keystore:
        yield await _checked("operator.keystore", _private(keystore, "a keystore"))
    yield await _checked("executor", _executor(ground))
    if inventories(settings):
        yield await _checked("inventory", _inventories(ground))
    yield await _checked("sending", _sending(ground))


async def _checked(what: str, work: Awaitable[str]) -> Finding:
    """Return the finding of a check that says what is good, or raises what is not."""
    try:
        return Finding(what=what, good=True, detail=await work)
    except KeeperError as error:
        return Finding(what=what, good=False, detail=str(error))


async def _head(ground: _Ground) -> str:
    """Check that the head is of our time, where the chain keeps ours, and the sequencer is up."""
    chain, head = ground.settings.chain, ground.head
    trouble = None
    if chain.follows_wall_clock:
        trouble = clock_problem(
            head.timestamp,
            ground.now,
            most_age_s=chain.max_head_age_s,
            most_lead_s=chain.max_head_lead_s,
        )
    if trouble is None and chain.sequencer is not None:
        call = round_call(chain.sequencer.feed)
        (answer,) = await ground.chain.reader.call_many([call], head)
        grace_s = chain.sequencer.grace_s
        trouble = sequencer_problem(decode_round(answer), grace_s, head.timestamp)
    if trouble is not None:
        raise KeeperError(trouble)
    return f"{ground.now - head.timestamp} s old" if chain.follows_wall_clock else "of its own time"


async def _simulation(ground: _Ground) -> str:
    await ground.chain.simulator.probe()
    return "the node simulates blocks (eth_simulateV1)"


async def _dollars(ground: _Ground) -> str:
    """Check that the native coin's feed answers in the currency of the budgets over all chains."""
    settings = ground.settings
    await require_dollars(settings.chain, settings.chain_path, ground.chain.reader, ground.head)
    return "in USD, as totals are"


async def _code(ground: _Ground, address: Address) -> str:
    code = await ground.chain.reader.code(address, ground.head)
    if not code:
        msg = f"{address}: expected a contract, found no code"
        raise KeeperError(msg)
    return f"{address}: {len(code):,} bytes of code"


async def _private(file: Path, what: str) -> str:
    """Check that not everybody may read a file, without reading it."""
    try:
        why = exposure(file)
    except PermissionError:
        return f"{file}: not for who asks"
    except OSError as error:
        msg = f"{file}: expected {what}, found {error.strerror}"
        raise KeeperError(msg) from error
    if why is not None:
        raise KeeperError(f"{file}: {why}")
    return f"{file}: not for every user of this machine"


async def _executor(ground: _Ground) -> str:
    """Check the deployed executor and the balance of each of its operators."""
    settings, reader = ground.settings, ground.chain.reader
    if settings.executor is None:
        return "none configured: plans are rehearsed with a pretended one, nothing can be sent"
    found = await read_executor(reader, settings.executor, ground.head)
    if settings.recipient not in (None, found.recipient):
        msg = f"recipient: expected {settings.recipient}, found {found.recipient}"
        raise KeeperError(msg)
    if not found.operators:
        msg = f"{found.address}: expected an operator, found none: the contract is disarmed"
        raise KeeperError(msg)
    await _require_payable(ground, found)
    rich = [await _operator(ground, one) for one in found.operators]
    return f"{'; '.join(rich)}; recipient {found.recipient}"


async def _require_payable(ground: _Ground, contract: ExecutorContract) -> None:
    """Raise KeeperError for a recipient that refuses the native coin.

    Anybody can force a wei on the executor, and each program sends on what it finds.
    """
    head, wei = ground.head, {contract.address: StateOverride(balance=1)}
    pay = Transaction(sender=contract.address, to=contract.recipient, data=b"", value=1)
    (paid,) = await ground.chain.simulator.simulate(
        [pay], base=head, timestamp=head.timestamp + 1, base_fee=0, overrides=wei
    )
    if not paid.success:
        coin = ground.settings.chain.native_symbol
        expected = f"expected one that takes {coin}, as whoever forces a wei on the executor"
        msg = f"recipient {contract.recipient}: {expected} stops it otherwise"
        raise KeeperError(f"{msg}, found that it refuses: {paid.error}")


async def _inventories(ground: _Ground) -> str:
    """Check that what lends to the executor alone lends to this one."""
    await require_own_inventories(ground.settings, ground.chain.reader, ground.head)
    return f"lends to {ground.settings.executor or 'an executor: none is configured'}"


async def _operator(ground: _Ground, operator: Address) -> str:
    floor = ground.settings.limits.min_balance_wei
    balance = await ground.chain.reader.balance(operator, ground.head)
    if balance < floor:
        msg = f"operator {operator}: expected at least {floor} wei, found {balance} wei"
        raise KeeperError(msg)
    coin = ground.settings.chain.native_symbol
    return f"operator {operator} with {decimal(balance, WAD, 6)} {coin}"


async def _unwinding(ground: _Ground, one: UnwindSettings) -> str:
    """Check that a token that is to be redeemed can be, and say for what."""
    book = await unwinder_for(one, ground.chain.reader).snapshot(ground.head)
    if book.refusal is not None:
        raise KeeperError(f"cannot be redeemed: {book.refusal}")
    if book.underlying.address in {other.token for other in ground.settings.chain.unwind}:
        found = f"found {book.underlying.symbol}, which stands in unwind itself"
        raise KeeperError(f"{one.token}: expected an underlying that is swapped, {found}")
    return f"{one.token} is redeemed for {book.underlying.symbol}: {book.terms}"


async def _deployment(ground: _Ground, adapter: AnyAdapter) -> AsyncIterator[Finding]:
    """Check one deployment: its market, its first block, its feeds."""
    name = adapter.deployment
    try:
        market = await adapter.read_market(ground.chain.reader, ground.head, None, None)
    except KeeperError as error:
        yield Finding(what=f"{name}: market", good=False, detail=str(error))
        return
    watched = adapter.log_filter(market)
    detail = f"{len(watched.addresses)} contracts watched, {len(watched.topics)} events"
    yield Finding(what=f"{name}: market", good=True, detail=detail)
    start = examine_start(
        ground.chain.reader, adapter, market, ground.head, _root(ground.settings, name)
    )
    yield await _checked(f"{name}: start_block", start)
    yield await _checked(f"{name}: audit", _audit(ground, adapter))
    if (forced := protocol_file(ground.settings, name).forced) is not None:
        yield Finding(what=f"{name}: forced", good=True, detail=_allowed(forced))
    async for finding in examine_feeds(ground.settings, ground.chain, adapter, market, ground.head):
        yield finding


def _root(settings: Settings, deployment: str) -> Address | None:
    """Return the contract that a deployment is found by, None where its file names none."""
    (path,) = [one.path for one in settings.deployments if one.name == deployment]
    named = (one.address for one in named_contracts(settings) if one.path == path)
    return next(named, None)


def _allowed(forced: ForcedSettings) -> str:
    each, day = forced.max_loss_per_tx_wei, forced.max_loss_per_day_wei
    return f"on: insolvent accounts may cost {each} wei each, {day} wei in a day"


async def _sending(ground: _Ground) -> str:
    """Check that nothing waits for a person's word before anything is sent again."""
    if (why := found_halt(ground.settings)) is not None:
        raise KeeperError(f"halted: {why}")
    return "not halted"


async def _audit(ground: _Ground, adapter: AnyAdapter) -> str:
    """Check that no market of the deployment waits for a person."""
    paused = Pauses(ground.settings.database, adapter.deployment).load()
    if paused:
        raise KeeperError("; ".join(dict.fromkeys(paused.values())))
    return "nothing is paused"
