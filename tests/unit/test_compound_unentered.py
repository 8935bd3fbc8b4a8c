"""cTokens where a borrower did not enter: nothing to his health, and there to be seized."""

from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2.aftermath import after_seize
from keeper.protocols.compound_v2.health import assess
from keeper.protocols.compound_v2.legs import legs
from keeper.protocols.compound_v2.liquidation import options, seize
from keeper.protocols.compound_v2.state import Deployment
from tests.support.compound_market import (
    BLOCK,
    MARKETS,
    PRICES,
    TOKENS,
    account,
    deployment,
    view,
)

COMPOUND = deployment(seizes_unentered=True)
OWED = {1: 10_000 * 10**6}
BITCOIN = (2, 10**10)


def keys(seen: Deployment, **changed: object) -> set[str]:
    return {one.key for one in options(seen, account({}, OWED, **changed))}


def test_who_has_nothing_else_is_not_left_alone():
    bare, aside = account({}, OWED), account({}, OWED, unentered=(BITCOIN,))
    assert assess(view(COMPOUND), aside) == assess(view(COMPOUND), bare)
    (leg,) = legs(view(COMPOUND), aside).collateral
    assert (leg.threshold_bps, legs(view(COMPOUND), bare).collateral) == (0, ())
    assert options(view(COMPOUND), bare) == ()
    assert keys(view(COMPOUND), unentered=(BITCOIN,)) == {f"{TOKENS[2]}:{TOKENS[1]}"}


def test_a_comptroller_that_asks_for_membership_takes_none_of_it():
    assert keys(view(), unentered=(BITCOIN,)) == set()


def test_a_market_without_a_price_or_not_listed_is_no_way_and_in_nobodys_way():
    """Nor does the account wait for it: its health does not depend on it."""
    ether = account({0: 2 * 10**10}, OWED, unentered=(BITCOIN,))
    entered_alone = {f"{TOKENS[0]}:{TOKENS[1]}"}
    unpriced = view(COMPOUND, {key: one for key, one in PRICES.items() if key != TOKENS[2]})
    risk = replace(MARKETS[2].risks[0], listed=False)
    unlisted = replace(MARKETS[2], risks={0: risk})
    dropped = view(deployment((*MARKETS[:2], unlisted), seizes_unentered=True))
    for seen in (unpriced, dropped):
        assert {one.key for one in options(seen, ether)} == entered_alone


def test_what_was_seized_is_gone_for_the_next_step():
    seen, position = view(COMPOUND), account({}, OWED, unentered=(BITCOIN,))
    (option,) = options(seen, position)
    quote = seize(seen, position, option, option.max_repay)
    both = after_seize(seen, position, option, quote)
    assert both is not None
    left = dict(both[1].unentered).get(2, 0)
    assert 0 <= left < BITCOIN[1]
    (entry,) = both[1].entries
    owed = entry.principal * both[0].markets[1].stored.index // entry.principal_index
    assert owed == OWED[1] - quote.repay


def test_its_accrual_takes_nothing_from_a_shortfall():
    """Repaying accrues the seized market: of one that counts that may cure the account."""
    earning = replace(MARKETS[0], rate=10**12, accrued_at=BLOCK - 10**4)
    seen = view(deployment((earning, *MARKETS[1:]), seizes_unentered=True))
    line = seen.lines[0]
    assert line.rate > line.stored_rate
    tokens, factor = 10**11, MARKETS[0].risks[0].threshold
    stored, accrued = (
        factor * rate // WAD * PRICES[TOKENS[0]] // WAD * tokens // WAD
        for rate in (line.stored_rate, line.rate)
    )
    owed = (stored + accrued) // 2 * WAD // PRICES[TOKENS[1]]
    position = account({0: tokens}, {1: owed})
    assert not assess(seen, position).liquidatable
    aside = replace(position, unentered=(BITCOIN,))
    assert assess(seen, aside).liquidatable
    assert {one.key for one in options(seen, aside)} == {f"{TOKENS[2]}:{TOKENS[1]}"}
