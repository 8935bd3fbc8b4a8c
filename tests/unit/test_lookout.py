"""What the look-up of a price event leans on: that no other price has moved since."""

from keeper.core.units import Address
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import RULES
from keeper.protocols.aave_v3.state import AavePosition
from keeper.scanner.lookout import Lookout, Rung
from tests.support.aave_crowd import ref_of
from tests.support.aave_market import NOW, PROVIDER, market, reserve

ADAPTER = AaveAdapter(
    deployment="aave_v3.test", start_block=0, parameters=Parameters(addresses_provider=PROVIDER)
)
ONE, OTHER, OWED = (Address(f"0x{i:02x}" + "ab" * 19) for i in (1, 2, 3))
PRICE = 10**10
VIEW = market(
    next(iter(RULES.values())),
    tuple(
        reserve(i, asset, f"T{i}", 18, threshold_bps=8_000)
        for i, asset in enumerate((ONE, OTHER, OWED))
    ),
    prices=dict.fromkeys((ONE, OTHER, OWED), PRICE),
    timestamp=NOW,
)
BORROWER = ref_of(1)
POSITION = AavePosition(
    collateral=((0, 10**18), (1, 10**18)), debt=((2, 10**18),), stable=(), emode=0
)
"""Worth 1.6 of its debt: under the line once one collateral is half and the other is too."""


def test_a_price_that_moves_twice_is_not_looked_up_as_if_another_had_stood_still() -> None:
    lookout = Lookout(ADAPTER)
    lookout.change(VIEW, {BORROWER: POSITION})
    lookout.see(VIEW, VIEW.prices)
    lookout.adopt(lookout.build().run())
    lookout.get_ready()
    assert lookout.under_after({ONE: PRICE * 6 // 10}).refs == ()
    assert lookout.under_after({OTHER: PRICE * 7 // 10}).refs == ()
    sighting = lookout.under_after({OTHER: PRICE * 6 // 10})
    assert sighting.refs == (BORROWER,)
    assert sighting.rung is not Rung.TRIGGERS


def test_a_price_that_moves_alone_is_looked_up_every_time() -> None:
    lookout = Lookout(ADAPTER)
    lookout.change(VIEW, {BORROWER: POSITION})
    lookout.see(VIEW, VIEW.prices)
    lookout.adopt(lookout.build().run())
    lookout.get_ready()
    for bps in (9_000, 8_000, 7_000):
        assert lookout.under_after({ONE: PRICE * bps // 10_000}).rung is Rung.TRIGGERS
