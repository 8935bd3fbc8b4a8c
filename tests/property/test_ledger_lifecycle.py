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

OPEN = {Status.INTENDED, Status.SIGNED, Status.SENT}
ENDS = {
    Status.INTENDED: {Status.DROPPED, Status.SIMULATED},
    Status.SIGNED: {Status.LANDED, Status.REVERTED, Status.DROPPED},
    Status.SENT: {Status.LANDED, Status.REVERTED, Status.DROPPED},
}
GAS = 1_000

plans = st.builds(plan, st.integers(1, 3), head=st.integers(1, 2))


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

    @rule(one=plans)
    def intend(self, one):
        known = self.status.get(one.id)
        busy = any(
            self.plans[other].ref == one.ref and status in OPEN
            for other, status in self.status.items()
        )
        legal = known == Status.INTENDED if known else not busy
        self.attempt(self.journal.intend(one), legal=legal)
        if legal:
            self.status[one.id] = Status.INTENDED
            self.plans[one.id] = one

    @rule(one=plans)
    def sign(self, one):
        again = one.id in self.signed
        legal = again or self.status.get(one.id) in OPEN
        step = self.journal.record_signed(submission(one, nonce=nonce_of(one)))
        self.attempt(step, legal=legal)
        if legal and not again:
            self.signed.add(one.id)
            self.status[one.id] = Status.SIGNED

    @rule(one=plans)
    def send(self, one):
        legal = self.status.get(one.id) in {Status.SIGNED, Status.SENT}
        step = self.journal.record_sent(submission(one, nonce=nonce_of(one)))
        self.attempt(step, legal=legal)
        if legal:
            self.status[one.id] = Status.SENT

    @rule(one=plans, status=st.sampled_from(list(Status)))
    def settle(self, one, status):
        known = self.status.get(one.id)
        repeated = known == status and status not in OPEN
        legal = repeated or status in ENDS.get(known, set())
        gas = GAS if status in {Status.LANDED, Status.REVERTED} else 0
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

    @rule()
    def restart(self):
        self.loop.run(self.journal.close())
        self.journal = self.loop.run(opened(Path(self.folder.name), clock=self.clock))

    @invariant()
    def the_journal_holds_what_is_open_and_one_intent_an_account(self):
        found = self.loop.run(self.journal.open_intents())
        wanted = {one: status for one, status in self.status.items() if status in OPEN}
        assert {one.plan_id: one.status for one in found} == wanted
        assert len({one.ref for one in found}) == len(found)
        for one in found:
            assert (one.submission is not None) == (one.status != Status.INTENDED)

    @invariant()
    def spending_and_nonces_follow(self):
        paid = [one for one in self.status.values() if one in {Status.LANDED, Status.REVERTED}]
        assert self.loop.run(self.journal.gas_spent_since(0)) == GAS * len(paid)
        used = [nonce_of(self.plans[one]) for one in self.signed
                if self.status.get(one) != Status.DROPPED]  # fmt: skip
        assert self.loop.run(self.journal.highest_nonce(OPERATOR)) == max(used, default=None)


Lifecycle.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLifecycle = Lifecycle.TestCase
