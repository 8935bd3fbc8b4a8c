"""A category's price that is lost at a head, and told by an event before the next one."""

from keeper.core.lending import Price
from keeper.core.units import WAD, Address
from keeper.core.values import replace
from keeper.mirror.positions import no_positions
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import V3_1
from keeper.protocols.aave_v3.state import Category
from keeper.scanner.scan import Book
from keeper.scanner.watch import Target, Watch
from tests.support.aave_market import NOW, PRICES, PROVIDER, RESERVES, USD, account, market, ref
from tests.support.ledger_records import block

KEY = Address("0x" + "77" * 20)
INSIDE = Category(threshold_bps=9_000, bonus_bps=10_100, price_source=KEY)
AAVE = AaveAdapter(
    deployment="a", start_block=0, parameters=Parameters(addresses_provider=PROVIDER)
)


def test_who_is_under_the_line_at_it_is_named() -> None:
    """Reserves that are not of the category keep their own prices."""
    first = replace(RESERVES[0], emode_category=1)
    known = market(V3_1, (first, *RESERVES[1:]), categories={1: INSIDE})
    short = account({1: 1_000 * 10**6}, {2: 10**7}, emode=1)  # 800 dollars of 3,000
    positions = no_positions(AAVE).with_changes({ref(): short})
    prices = {key: Price(value=value, block=1, updated_at=NOW) for key, value in PRICES.items()}
    book = Book(block=block(1), market=known, positions=positions, prices=prices, problems={})
    watch = Watch(AAVE)
    watch.take(known, {ref(): short})
    found = watch.look(
        book,
        Target(number=2, timestamp=NOW),
        Target(number=3, timestamp=NOW),
        trigger="test",
    )
    assert [one.ref for one in found.rejections] == [ref()]  # nothing is known of it
    told = {KEY: 2_000 * USD}
    assert AAVE.assess(AAVE.repriced(found.view, told), short).health_factor < WAD
    assert watch.foresee(told) == [ref()]
    assert watch.glance(told) == [ref()]
