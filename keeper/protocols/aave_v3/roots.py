"""The root of a market: its contracts, its revision and what is not of one reserve."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.revision import RELEASES, RULES, Rules
from keeper.protocols.aave_v3.state import Category, Sentinel

_CATEGORIES = range(1, 256)


class Root(Struct, frozen=True, kw_only=True):
    """Where a market's contracts are, and what its Pool says of itself."""

    provider: Address
    pool: Address
    oracle: Address
    configurator: Address
    sentinel: Address | None
    revision: int
    rules: Rules
    flash_premium_bps: int
    premium_to_protocol_bps: int
    assets: tuple[Address, ...]


class Asking(Struct, frozen=True, kw_only=True):
    """A reader at a block, for one deployment: names the deployment when an answer is wrong."""

    reader: Reader
    block: BlockRef
    deployment: str
    revisions: Mapping[int, str] = field(default_factory=dict)
    """Of a fork: its revisions to releases; empty are Aave's own."""

    async def each(self, calls: Sequence[Call]) -> list[CallResult]:
        """Return every answer, refusals included."""
        return await self.reader.call_many(calls, self.block)

    async def all(self, calls: Sequence[Call], what: str) -> list[bytes]:
        """Return every answer; raise ConfigError when one is not at least a word."""
        answers = []
        for call, result in zip(calls, await self.each(calls), strict=True):
            if not result.success or len(result.data) < codec.WORD:
                found = result.data.hex() or "nothing"
                expected = f"expected an answer to 0x{call.data.hex()[:8]} at {call.to}"
                msg = f"{self.deployment}: {what}: {expected}, found {found}"
                raise ConfigError(msg)
            answers.append(result.data)
        return answers


async def read_root(asking: Asking, provider: Address) -> Root:
    """Read a market from its PoolAddressesProvider. Raises ConfigError when it is not one."""
    asked = (
        codec.GET_POOL,
        codec.GET_PRICE_ORACLE,
        codec.GET_POOL_CONFIGURATOR,
        codec.GET_PRICE_ORACLE_SENTINEL,
    )
    calls = [codec.ask(provider, function) for function in asked]
    answers = await asking.all(calls, "parameters.addresses_provider")
    pool, oracle, configurator, sentinel = (codec.address_at(one, 0) for one in answers)
    of_pool = (
        codec.POOL_REVISION,
        codec.FLASHLOAN_PREMIUM_TOTAL,
        codec.FLASHLOAN_PREMIUM_TO_PROTOCOL,
        codec.ADDRESSES_PROVIDER,
        codec.GET_RESERVES_LIST,
    )
    answers = await asking.all([codec.ask(pool, function) for function in of_pool], "pool")
    revision = codec.int_at(answers[0], 0)
    if codec.address_at(answers[3], 0) != provider:
        found = codec.address_at(answers[3], 0)
        msg = f"{asking.deployment}: provider of pool {pool}: expected {provider}, found {found}"
        raise ConfigError(msg)
    assets = tuple(codec.addresses_at_start(answers[4]))
    rules = rules_of(asking, revision, pool)
    await _require_functions(asking, pool, assets, rules)
    return Root(
        provider=provider,
        pool=pool,
        oracle=oracle,
        configurator=configurator,
        sentinel=None if sentinel == ZERO_ADDRESS else sentinel,
        revision=revision,
        rules=rules,
        flash_premium_bps=codec.int_at(answers[1], 0),
        premium_to_protocol_bps=codec.int_at(answers[2], 0),
        assets=assets,
    )


def rules_of(asking: Asking, revision: int, pool: Address) -> Rules:
    """Return a revision's rules; raise ConfigError when they are not known."""
    known = {number: RELEASES[one] for number, one in asking.revisions.items()} or RULES
    if revision not in known:
        what = f"{asking.deployment}: POOL_REVISION of {pool}"
        if asking.revisions:
            expected = f"one of parameters.revisions ({', '.join(map(str, sorted(known)))})"
        else:
            expected = f"{min(known)} to {max(known)}"
        msg = f"{what}: expected {expected}, found {revision}"
        raise ConfigError(msg)
    return known[revision]


async def _require_functions(
    asking: Asking, pool: Address, assets: Sequence[Address], rules: Rules
) -> None:
    """Raise ConfigError unless the Pool has what its release has, and nothing that came later.

    A revision is a number that anybody may count: what the Pool can be asked is not.
    """
    if not assets:
        return
    probes = (
        ("getLiquidationGracePeriod", "3.1", rules.grace_period,
         codec.ask_address(pool, codec.GET_LIQUIDATION_GRACE_PERIOD, assets[0])),
        ("getEModeCategoryCollateralBitmap", "3.2", rules.emode_bitmaps,
         codec.ask_int(pool, codec.GET_EMODE_COLLATERAL_BITMAP, 1)),
        ("getReserveDeficit", "3.3", rules.whole_position_rule,
         codec.ask_address(pool, codec.GET_RESERVE_DEFICIT, assets[0])),
    )  # fmt: skip
    answers = await asking.each([call for *_, call in probes])
    for (name, since, expected, _), answer in zip(probes, answers, strict=True):
        found = answer.success and len(answer.data) >= codec.WORD
        if found == expected:
            continue
        has = "expected" if expected else "expected no"
        msg = (
            f"{asking.deployment}: pool {pool}, of the rules of {rules.release}: {has} {name}, "
            f"there since {since}, found {'it' if found else 'none'}; a fork that numbers its "
            f"revisions by itself says so in parameters.revisions"
        )
        raise ConfigError(msg)


async def read_categories(asking: Asking, root: Root) -> dict[int, Category]:
    """Read every efficiency mode that is defined."""
    if root.rules.emode_bitmaps:
        return await _read_bitmap_categories(asking, root.pool)
    calls = [codec.ask_int(root.pool, codec.GET_EMODE_CATEGORY_DATA, i) for i in _CATEGORIES]
    answers = await asking.all(calls, "eMode categories")
    found = {}
    for number, data in zip(_CATEGORIES, answers, strict=True):
        start = codec.int_at(data, 0) // codec.WORD
        source = codec.address_at(data, start + 3)
        category = Category(
            threshold_bps=codec.int_at(data, start + 1),
            bonus_bps=codec.int_at(data, start + 2),
            price_source=None if source == ZERO_ADDRESS else source,
        )
        if category != Category():
            found[number] = category
    return found


async def _read_bitmap_categories(asking: Asking, pool: Address) -> dict[int, Category]:
    calls = [codec.ask_int(pool, codec.GET_EMODE_COLLATERAL_CONFIG, i) for i in _CATEGORIES]
    answers = await asking.all(calls, "eMode categories")
    defined = {
        number: data
        for number, data in zip(_CATEGORIES, answers, strict=True)
        if any(codec.int_at(data, position) for position in range(3))
    }
    calls = [codec.ask_int(pool, codec.GET_EMODE_COLLATERAL_BITMAP, i) for i in defined]
    bitmaps = await asking.all(calls, "eMode collateral bitmaps")
    return {
        number: Category(
            threshold_bps=codec.int_at(data, 1),
            bonus_bps=codec.int_at(data, 2),
            collateral_bitmap=codec.int_at(bitmap, 0),
        )
        for (number, data), bitmap in zip(defined.items(), bitmaps, strict=True)
    }


async def read_sentinel(asking: Asking, root: Root) -> Sentinel | None:
    """Read the sequencer's guard, None where the market has none or the Pool asks none."""
    if root.sentinel is None or not root.rules.sentinel:
        return None
    asked = (codec.GET_SEQUENCER_ORACLE, codec.GET_GRACE_PERIOD)
    calls = [codec.ask(root.sentinel, function) for function in asked]
    oracle_word, grace_word = await asking.all(calls, "price oracle sentinel")
    feed = codec.address_at(oracle_word, 0)
    status, behind = await asking.each(
        [codec.ask(feed, codec.LATEST_ROUND_DATA), codec.ask(feed, codec.AGGREGATOR)]
    )
    is_up, since = sequencer_status(root.rules, status)
    has_aggregator = behind.success and len(behind.data) == codec.WORD
    return Sentinel(
        address=root.sentinel,
        feed=feed,
        aggregator=codec.address_at(behind.data, 0) if has_aggregator else feed,
        grace_s=codec.int_at(grace_word, 0),
        is_up=is_up,
        since=since,
    )


def sequencer_status(release: Rules, answer: CallResult) -> tuple[bool, int]:
    """Return whether the sequencer is up and since when; an unreadable feed is a sequencer down.

    The Pool reverts when the feed does, so that nothing above the sentinel's line is liquidatable.
    """
    if not answer.success or len(answer.data) < 5 * codec.WORD:
        return False, 0
    position = 2 if release.sequencer_status_since_start else 3
    return codec.int_at(answer.data, 1) == 0, codec.int_at(answer.data, position)
