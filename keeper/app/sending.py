"""Build what sends, and what follows what was sent, from settings and an open chain."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from keeper.app.builders import limits_of, triggers_of
from keeper.app.executor_contract import ExecutorContract
from keeper.app.hearing import OnSettled, each, ears, foreign, noted, reopened
from keeper.app.outside import Dial
from keeper.app.totals import price_reader
from keeper.chain.agreed import AgreedHeads
from keeper.chain.session import Chain
from keeper.config.lanes import PrivateLaneSettings
from keeper.config.sending import ForeignNonce
from keeper.config.settings import Settings
from keeper.core.errors import ConfigError
from keeper.core.plan import Intent
from keeper.core.ports import Signer
from keeper.executor.armament import Armament
from keeper.executor.arming import Arming
from keeper.executor.canon import Canon
from keeper.executor.desks import Desks
from keeper.executor.door import Grounds
from keeper.executor.doubtful import Doubtful
from keeper.executor.executor import Executor
from keeper.executor.flight import Flight
from keeper.executor.lanes.bundle import BundleLane
from keeper.executor.lanes.lane import Lane
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.lanes.private import PrivateLane
from keeper.executor.means import Means, Patience
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import BatchRules
from keeper.executor.prearm import Prearm
from keeper.executor.recovery import recover_armed
from keeper.executor.settler import Auditor, Settler
from keeper.executor.signing import SigningDesk
from keeper.executor.standing import Standing
from keeper.executor.tending import Tender
from keeper.executor.totals import Share
from keeper.ledger.journal import SqliteJournal
from keeper.runtime.clock import Clock


class Post(Struct, frozen=True, kw_only=True):
    """What sending is built from."""

    chain: Chain
    journal: SqliteJournal
    contract: ExecutorContract
    signers: tuple[Signer, ...]
    """None of them keeps it disarmed."""
    clock: Clock
    dial: Dial
    """The way to relays."""
    auditor_of: Callable[[str], Auditor]
    """How to read the transactions of a deployment, by its name."""
    on_stuck: Callable[[Intent, Exception], None]
    """Hears of an intent that its deployment cannot read."""
    share: Share | None
    """Of the budgets over all chains; None where there is one chain."""


class Sending(Struct, frozen=True, kw_only=True):
    """Everything from a plan to its outcome."""

    executor: Executor
    doubtful: Doubtful
    settler: Settler
    canon: Canon
    flight: Flight
    standing: Standing
    is_armed: bool
    arming: Arming | None
    """What signs ahead; None where nothing is to be, or nothing can be sent."""
    agreed: AgreedHeads
    """The heads that a quorum has, where there is one."""


async def build_sending(settings: Settings, post: Post) -> Sending:
    """Build it, with what the journal left open.

    Raises ConfigError when an open intent is of a deployment that is no longer configured.
    """
    flight = Flight(await post.journal.open_intents())
    doubts = await recover_armed(post.journal, post.chain.wire, flight)
    _require_configured(settings, flight)
    standing = Standing(post.journal, triggers_of(settings), now=post.clock.now)
    await standing.review()
    if post.share is not None:
        post.share.opened(flight, price_reader(settings, post.share, post.chain.agreed))
    canon = _canon(settings, post, flight)
    on_settled = ears(canon, post.share)
    armament = await _armament(settings, post, flight, standing, on_settled)
    executor = Executor(
        _grounds(settings, post),
        journal=post.journal,
        flight=flight,
        standing=standing,
        armament=armament,
    )
    desks = [armament.desks.settled] if armament else []
    return Sending(
        executor=executor,
        doubtful=_doubtful(settings, post, flight, doubts),
        settler=_settler(
            settings, post, flight, armament, each(on_settled, executor.backoff.settled, *desks)
        ),
        canon=canon,
        flight=flight,
        standing=standing,
        is_armed=armament is not None,
        arming=_arming(settings, post, executor, armament),
        agreed=AgreedHeads(post.chain.agreed),
    )


def _canon(settings: Settings, post: Post, flight: Flight) -> Canon:
    return Canon(
        journal=post.journal,
        reader=post.chain.agreed,
        flight=flight,
        depth=settings.chain.finality_depth,
        on_corrected=partial(noted, post.share),
        on_reopened=partial(reopened, post.share),
    )


def _settler(
    settings: Settings,
    post: Post,
    flight: Flight,
    armament: Armament | None,
    on_settled: OnSettled,
) -> Settler:
    return Settler(
        wire=post.chain.wire,
        reader=post.chain.agreed,
        journal=post.journal,
        flight=flight,
        auditor_of=post.auditor_of,
        on_stuck=post.on_stuck,
        confirmations=settings.chain.confirmations,
        now=post.clock.monotonic,
        on_foreign=foreign(armament),
        on_settled=on_settled,
    )


def _doubtful(settings: Settings, post: Post, flight: Flight, doubts: Sequence[Intent]) -> Doubtful:
    """Return what watches the armed intents that no node has, of deployments that are read."""
    return Doubtful(
        [one for one in doubts if one.deployment in _enabled(settings)],
        journal=post.journal,
        wire=post.chain.wire,
        flight=flight,
        depth=settings.chain.finality_depth,
    )


def _arming(
    settings: Settings, post: Post, executor: Executor, armament: Armament | None
) -> Arming | None:
    """Return what signs ahead, if the operator allows it and there is a key."""
    if armament is None or not settings.sending.prearm_accounts:
        return None
    if not armament.desks.are_instant:
        return None
    post.journal.spool.prepare()
    limits = limits_of(settings)
    prearm = Prearm(executor, armament, journal=post.journal, limits=limits)
    return Arming(
        prearm=prearm,
        executor=executor,
        armament=armament,
        limits=limits,
        planned_before=post.journal.planned_before,
    )


def _enabled(settings: Settings) -> set[str]:
    return {one.name for one in settings.deployments if one.settings.enabled}


def _require_configured(settings: Settings, flight: Flight) -> None:
    """Raise ConfigError unless every open intent can be followed to its end."""
    enabled = _enabled(settings)
    for one in flight.airborne.values():
        name = one.intent.deployment
        if name not in enabled:
            msg = (
                f"{settings.path}: protocols: expected {name}, of which {settings.database} has "
                f"open intents, found {', '.join(sorted(enabled)) or 'none'}"
            )
            raise ConfigError(msg)


async def _armament(
    settings: Settings, post: Post, flight: Flight, standing: Standing, on_settled: OnSettled
) -> Armament | None:
    """Return what sends, or None without a key."""
    if not post.signers:
        return None
    lane = _lane(settings, post, standing)
    desks = [await _desk(settings, post, one) for one in post.signers]
    tenders = []
    for desk in desks:
        tender = _tender(settings, post, flight, standing, on_settled, desk, lane)
        await tender.begin()
        tenders.append(tender)
    all_desks = Desks(desks, on_settled)
    await all_desks.count(flight)  # a price may come before the first head is tended
    return Armament(desks=all_desks, lane=lane, tenders=tuple(tenders))


async def _desk(settings: Settings, post: Post, signer: Signer) -> SigningDesk:
    """Return the desk of one key, which knows the nonces that the journal knows."""
    wire, address = post.chain.wire, signer.address
    highest = await post.journal.highest_nonce(address)
    return SigningDesk(
        chain_id=settings.chain.chain_id,
        signer=signer,
        wire=wire,
        nonces=NonceKeeper(wire, address, highest=highest, now=post.clock.monotonic),
    )


def _tender(
    settings: Settings,
    post: Post,
    flight: Flight,
    standing: Standing,
    on_settled: OnSettled,
    desk: SigningDesk,
    lane: Lane,
) -> Tender:
    means = Means(
        wire=post.chain.wire,
        simulator=post.chain.simulator,
        journal=post.journal,
        flight=flight,
        desk=desk,
        lane=lane,
        limits=limits_of(settings),
        auditor_of=post.auditor_of,
        on_stuck=post.on_stuck,
        overrides=post.contract.overrides,
        share=post.share,
    )
    patience = Patience(
        replace_after_blocks=settings.sending.replace_after_blocks,
        block_time_s=settings.chain.block_time_s,
        halt_on_foreign_nonce=settings.sending.on_foreign_nonce is ForeignNonce.HALT,
    )
    return Tender(means, patience, standing, on_settled=on_settled)


def _lane(settings: Settings, post: Post, standing: Standing) -> Lane:
    """Return the lane that the operator chose: there is no falling back to another."""
    chosen = settings.sending.lane
    for one in settings.chain.lanes:
        if one.name != chosen:
            continue
        if isinstance(one, PrivateLaneSettings):
            relay = post.dial(one.rpc, one.signed)
            return PrivateLane(
                relay, name=one.name, blocks=one.blocks, halted=lambda: standing.halted
            )
        relays = [post.dial(endpoint, one.signed) for endpoint in one.rpc]
        return BundleLane(relays, name=one.name, halted=lambda: standing.halted)
    return MempoolLane(post.chain.wire)


def _grounds(settings: Settings, post: Post) -> Grounds:
    return Grounds(
        reader=post.chain.agreed,
        simulator=post.chain.simulator,
        limits=limits_of(settings),
        now=post.clock.now,
        overrides=post.contract.overrides,
        share=post.share,
        batches=BatchRules(
            most=settings.sending.batch.most, risk_bps=settings.sending.batch.risk_bps
        ),
    )
