"""Who hears of what became of a transaction."""

from collections.abc import Callable

from keeper.core.plan import Intent, Outcome, Submission
from keeper.executor.armament import Armament
from keeper.executor.canon import Canon
from keeper.executor.totals import Share

OnSettled = Callable[[Intent, Outcome], None]


def foreign(armament: Armament | None) -> Callable[[Submission], None]:
    """Return who hears of a transaction of ours whose nonce somebody else used."""

    def told(submission: Submission) -> None:
        for tender in armament.tenders if armament else ():
            if tender.address == submission.sender:
                tender.used_elsewhere(submission.nonce)

    return told


def each(*those: OnSettled) -> OnSettled:
    """Return one who tells several of each outcome."""

    def heard(intent: Intent, outcome: Outcome) -> None:
        for one in those:
            one(intent, outcome)

    return heard


def ears(canon: Canon, share: Share | None) -> OnSettled:
    """Return who hears of each outcome."""

    def heard(intent: Intent, outcome: Outcome) -> None:
        canon.note(intent, outcome)
        noted(share, outcome)

    return heard


def noted(share: Share | None, outcome: Outcome) -> None:
    """Have the budgets over all chains count what an outcome is by now."""
    if share is not None:
        for one in outcome.each:
            share.note(one)


def reopened(share: Share | None, intent: Intent) -> None:
    """Have the budgets over all chains count no outcome of what is open again."""
    if share is not None:
        share.reopened(intent)
