"""Whatever is asked of the journal, in whatever order, an intent lives one life."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keeper.core.errors import InvariantError
from keeper.core.plan import Status
from tests.support.ledger_records import OPERATOR, HandClock, ended, opened, plan, submission

CLAIMING = {Status.INTENDED, Status.SIGNED, Status.SENT}
OPEN = {*CLAIMING, Status.UNDONE}
ENDS = {
    Status.INTENDED: {Status.DROPPED, Status.SIMULATED},
    Status.SIGNED: {Status.LANDED, Status.REVERTED, Status.CANCELLED, Status.DROPPED},
    Status.SENT: {Status.LANDED, Status.REVERTED, Status.CANCELLED, Status.DROPPED},
    Status.UNDONE: {Status.LANDED, Status.REVERTED, Status.CANCELLED, Status.DROPPED},
}
PAID = {Status.LANDED, Status.REVERTED, Status.CANCELLED}
GAS = 1_000

plans = st.builds(plan, st.integers(1, 2), head=st.integers(1, 9))
steps = st.sampled_from(
    ["intend", "intend", "sign", "sign", "send", "send", "restart", "reopen", *Status]
)
MOSTLY = 6
picks = st.integers(0, 7)


def nonce_of(one):
    """Return a nonce of the plan's own."""
    return int(one.ref.account, 16) * 10 + one.opportunity.block.number


class Lifecycle(RuleBasedStateMachine):
    """A journal beside a dictionary that says what it should hold."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.Runner()
        self.clock = HandClock()
        self.journal = self.loop.run(opened(Path(self.folder.name), clock=self.clock))
        self.status = {}
        self.plans = {}
        self.signed = set()

    def teardown(self):
        self.loop.run(self.journal.close())
        self.loop.close()
        self.folder.cleanup()

    def attempt(self, step, *, legal):
        """Run a step, which must be refused exactly when it is not legal."""
        if legal:
            self.loop.run(step)
            return
        with pytest.raises(InvariantError):
            self.loop.run(step)

    def intend(self, one):
        known = self.status.get(one.id)
        busy = any(
            self.plans[other].ref == one.ref and status in CLAIMING
            for other, status in self.status.items()
        )
        again = known in {None, Status.SIMULATED}
        legal = not busy if again else known == Status.INTENDED
        self.attempt(self.journal.intend(one), legal=legal)
        if legal:
            self.status[one.id] = Status.INTENDED
            self.plans[one.id] = one

    def picked(self, pick):
        """Return a plan that is open, mostly, or one that was: strangers are soon tried."""
        alive = sorted(one for one, status in self.status.items() if status in OPEN)
        known = alive if alive and pick < MOSTLY else sorted(self.plans)
        return self.plans[known[pick % len(known)]] if known else plan(pick)

    def sign(self, one):
        again = one.id in self.signed
        legal = again or self.status.get(one.id) in OPEN
        step = self.journal.record_signed(submission(one, nonce=nonce_of(one)))
        self.attempt(step, legal=legal)
        if legal and not again:
            self.signed.add(one.id)
            self.status[one.id] = Status.SIGNED

    def send(self, one):
        legal = self.status.get(one.id) in {Status.SIGNED, Status.SENT, Status.UNDONE}
        step = self.journal.record_sent(submission(one, nonce=nonce_of(one)))
        self.attempt(step, legal=legal)
        if legal and self.status[one.id] is not Status.UNDONE:
            self.status[one.id] = Status.SENT

    def settle(self, one, status):
        known = self.status.get(one.id)
        repeated = known == status and status not in OPEN
        legal = repeated or status in ENDS.get(known, set())
        gas = GAS if status in PAID else 0
        self.attempt(self.journal.settle(ended(one, status, gas=gas)), legal=legal)
        if legal and not repeated:
            self.status[one.id] = status
            if status == Status.SIMULATED:
                self.forget_simulations_before(one)

    def forget_simulations_before(self, one):
        """One simulated intent is kept for each account."""
        for other, status in list(self.status.items()):
            same = other != one.id and self.plans[other].ref == one.ref
            if same and status == Status.SIMULATED:
                del self.status[other]

    @rule(step=steps, one=plans, pick=picks)
    def act(self, step, one, pick):
        """Take a step of the journal. One rule, so that each step stays as likely as another."""
        if step == "intend":
            self.intend(one)
        elif step in {"sign", "send"}:
            getattr(self, step)(self.picked(pick))
        elif step == "restart":
            self.restart()
        elif step == "reopen":
            self.reopen(self.picked(pick))
        else:
            self.settle(self.picked(pick), step)

    def reopen(self, one):
        """A reorg took its block: it is open again, or to be cancelled if its account is busy."""
        known = self.status.get(one.id)
        if known not in {*PAID, Status.DROPPED} or one.id not in self.signed:
            self.attempt(self.journal.reopen(one.id), legal=False)
            return
        busy = any(
            self.plans[other].ref == one.ref and status in CLAIMING
            for other, status in self.status.items()
        )
        self.status[one.id] = Status.UNDONE if busy else Status.SENT
        assert self.loop.run(self.journal.reopen(one.id)) is self.status[one.id]

    def restart(self):
        self.loop.run(self.journal.close())
        self.journal = self.loop.run(opened(Path(self.folder.name), clock=self.clock))

    @invariant()
    def the_journal_holds_what_is_open_and_one_intent_an_account(self):
        found = self.loop.run(self.journal.open_intents())
        wanted = {one: status for one, status in self.status.items() if status in OPEN}
        assert {one.plan_id: one.status for one in found} == wanted
        claimed = [one.ref for one in found if one.status in CLAIMING]
        assert len(set(claimed)) == len(claimed)
        for one in found:
            assert (one.submission is not None) == (one.plan_id in self.signed)

    @invariant()
    def spending_and_nonces_follow(self):
        paid = [one for one in self.status.values() if one in PAID]
        assert self.loop.run(self.journal.spent(hour=0, day=0)).day == GAS * len(paid)
        used = [nonce_of(self.plans[one]) for one in self.signed
                if self.status.get(one) != Status.DROPPED]  # fmt: skip
        assert self.loop.run(self.journal.highest_nonce(OPERATOR)) == max(used, default=None)


Lifecycle.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLifecycle = Lifecycle.TestCase
