"""The books: what they hold, and the same figures in every form."""

import csv
import io
import json

import pytest
from rich.console import Console

from keeper.core.lending import AssetValue, Reason
from keeper.core.plan import Status
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.ledger.amounts import coins_text, short_hex, units_text
from keeper.ledger.books import add_up, read_books
from keeper.ledger.exports import COLUMNS, csv_text, json_lines
from keeper.ledger.report import html_page, summary, tables
from tests.support.ledger_records import (
    DEPLOYMENT,
    FORECAST,
    USDC,
    VALUATION,
    WETH,
    HandClock,
    ended,
    landed,
    opened,
    plan,
    rejection,
    submission,
)

PROMISED = [
    "plan",
    "account",
    "collateral_asset",
    "debt_asset",
    "repaid",
    "seized",
    "protocol_fee",
    "swap_cost",
    "flash_fee",
    "gas",
    "tip",
    "net",
    "forecast_net",
    "tx_hash",
    "block",
    "status",
    "trigger",
]
DAY = 86_400


@pytest.fixture
async def database(tmp_path):
    """Two landed on two days, one reverted, one simulated twice, one open, some left alone."""
    clock = HandClock()
    journal = await opened(tmp_path, clock=clock)
    for borrower in (1, 2):
        one, transaction = plan(borrower), submission(plan(borrower), nonce=borrower)
        await journal.intend(one)
        await journal.record_signed(transaction)
        await journal.settle(landed(one, transaction, shortfall=7))
        await clock.sleep(DAY)
    reverted = submission(plan(3), nonce=3)
    await journal.intend(plan(3))
    await journal.record_signed(reverted)
    await journal.settle(ended(plan(3), Status.REVERTED, gas=5, tx_hash=reverted.tx_hash))
    for head in (100, 101):
        await journal.intend(plan(4, head=head))
        await journal.settle(ended(plan(4, head=head), Status.SIMULATED))
    await journal.intend(plan(5))
    await journal.reject(DEPLOYMENT, rejection(6, Reason.BELOW_MIN_PROFIT, block=9, net=-3))
    await journal.reject(DEPLOYMENT, rejection(7, Reason.NO_ROUTE, block=9))
    await journal.close()
    return tmp_path / "keeper.sqlite"


@pytest.fixture
def books(database):
    return read_books(database)


def shown(books):
    console = Console(width=200, file=io.StringIO())
    for table in tables(books):
        console.print(table)
    return console.file.getvalue()


def test_totals_sum_what_moved_money_forecast_beside_realised(books):
    total = books.total
    assert total.count == 3
    assert total.realised.net == 2 * (FORECAST.net - 7) - 5
    assert total.realised.gas == 2 * FORECAST.gas + 5
    assert total.forecast.net == 3 * FORECAST.net


def test_what_was_only_shown_is_summed_apart(books):
    assert (books.simulated.count, books.simulated.forecast.net) == (1, FORECAST.net)
    (entry,) = [one for one in books.entries if one.status is Status.SIMULATED]
    assert (entry.times, entry.realised.net, entry.repaid) == (2, 0, 0)


def test_days_and_pairs_sum_to_the_total(books):
    for totals in (books.per_day(), books.per_pair()):
        assert add_up(one.realised for one in totals) == books.total.realised
        assert sum(one.count for one in totals) == books.total.count
    assert [one.name for one in books.per_day()] == ["2023-11-14", "2023-11-15", "2023-11-16"]
    assert [one.name for one in books.per_pair()] == ["WETH / USDC"]


def test_an_open_intent_is_counted_and_not_summed(books):
    assert books.open_intents == 1
    assert len(books.entries) == 4


def test_what_was_left_alone_comes_with_its_reason(books):
    assert [(one.reason, one.net) for one in books.missed] == [
        ("below_min_profit", -3),
        ("no_route", -1),
    ]


async def test_an_account_that_was_rejected_and_then_liquidated_was_not_left_alone(tmp_path):
    journal = await opened(tmp_path)
    await journal.reject(DEPLOYMENT, rejection(1, Reason.NO_ROUTE, block=9))
    await journal.intend(plan(1))
    await journal.record_signed(submission(plan(1)))
    await journal.settle(landed(plan(1), submission(plan(1))))
    await journal.close()
    assert read_books(tmp_path / "keeper.sqlite").missed == ()


def test_since_leaves_out_what_is_older(database, books):
    newest = max(entry.settled for entry in books.entries)
    later = read_books(database, since=newest)
    assert [entry.status for entry in later.entries] == [Status.REVERTED, Status.SIMULATED]


def test_a_json_line_has_the_promised_keys_first_and_no_number(books):
    lines = [json.loads(line) for line in json_lines(books)]
    assert len(lines) == len(books.entries)
    for line in lines:
        assert list(line)[: len(PROMISED)] == PROMISED
        assert all(isinstance(value, str | None) for value in line.values())
    first = lines[0]
    assert (first["collateral_asset"], first["debt_asset"]) == (WETH, USDC)
    assert (first["repaid"], first["seized"]) == (str(100_000 * 10**6), str(60 * WAD))
    assert (first["net"], first["forecast_net"]) == (str(FORECAST.net - 7), str(FORECAST.net))
    assert (first["status"], first["block"], first["trigger"]) == ("landed", "101", "price of WETH")


def test_the_identity_holds_in_every_json_line(books):
    for line in map(json.loads, json_lines(books)):
        for side in ("", "forecast_"):
            value = {
                name: int(line[side + name])
                for name in (
                    "penalty",
                    "protocol_fee",
                    "swap_cost",
                    "flash_fee",
                    "gas",
                    "tip",
                    "net",
                )
            }
            costs = sum(value[name] for name in value if name not in {"penalty", "net"})
            assert value["penalty"] - costs == value["net"]  # fmt: skip


def test_csv_holds_what_the_json_lines_hold(books):
    rows = list(csv.DictReader(io.StringIO(csv_text(books))))
    wanted = [{name: value or "" for name, value in json.loads(line).items()}
              for line in json_lines(books)]  # fmt: skip
    assert rows == wanted
    assert tuple(rows[0]) == COLUMNS


def test_the_tables_show_forecast_realised_and_reasons(books):
    text = shown(books)
    for wanted in (
        "Outcomes",
        "Where the penalty went",
        "By collateral and debt",
        "By day (UTC)",
        "Left alone",
        "below_min_profit",
        "pool is dry",
        "landed",
        "reverted",
        "simulated",
        coins_text(books.total.realised.net),
    ):
        assert wanted in text  # fmt: skip


def test_what_there_is_to_say_of_an_outcome_stands_with_its_account(books):
    of_both = [one for one in shown(books).splitlines() if "for a reason" in one]
    assert [[cell.strip() for cell in one.split("│")[1:3]] for one in of_both] == [
        [short_hex(account), status]
        for account, status in (
            (plan(3).ref.account, "reverted"),
            (plan(4).ref.account, "simulated"),
        )
    ]


def test_the_summary_names_every_count(books):
    assert summary(books) == (
        "3 outcomes, net 16.779999; forecast 25.170000; "
        "1 shown but not sent, forecast 8.390000; 1 in flight; 2 left alone. "
        "Amounts are whole native coins, rounded down."
    )


async def test_books_without_entries_are_shown_as_such(tmp_path):
    await (await opened(tmp_path)).close()
    books = read_books(tmp_path / "keeper.sqlite")
    assert summary(books).startswith("0 outcomes, net 0.000000")
    assert tables(books) == ()
    assert list(json_lines(books)) == []
    assert "<table>" not in html_page(books)


def test_a_figure_of_the_page_stands_under_its_heading_and_wide_tables_scroll(books):
    page = html_page(books)
    assert "<th>Account</th>" in page
    assert '<th class="figure">Net</th>' in page
    assert page.count('<div class="wide"><table>') == page.count("<table>") == len(tables(books))
    assert 'name="viewport"' in page


def test_on_a_narrow_screen_a_row_that_is_scrolled_still_says_whose_it_is(books):
    _, narrow = html_page(books).split("@media (max-width: 45rem) {")
    first = "th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }"
    assert first in narrow


async def test_a_poisoned_symbol_breaks_no_form_of_the_report(tmp_path):
    poison = "<script>x</script>[red]\x1b[31m=cmd\n" + "A" * 1_000
    assets = {**VALUATION.assets, WETH: AssetValue(symbol=poison, price=10**8, unit=10**18)}
    one = replace(plan(1), valuation=replace(VALUATION, assets=assets))
    journal = await opened(tmp_path)
    await journal.intend(one)
    await journal.record_signed(submission(one))
    await journal.settle(landed(one, submission(one)))
    await journal.reject(
        DEPLOYMENT, replace(rejection(9, Reason.NO_ROUTE, block=1), detail="=1+1 <b>")
    )
    await journal.close()
    books = read_books(tmp_path / "keeper.sqlite")

    page = html_page(books)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    for text in (page, shown(books), csv_text(books), "".join(json_lines(books))):
        assert "\x1b" not in text
        assert "A" * 100 not in text
    assert "[red]" in shown(books)


async def test_csv_has_one_line_of_an_outcome_whatever_a_relay_said_of_it(tmp_path):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    await journal.settle(replace(ended(plan(1), Status.DROPPED), detail="no\r=HYPERLINK(1)"))
    await journal.close()
    (row,) = csv.DictReader(io.StringIO(csv_text(read_books(tmp_path / "keeper.sqlite"))))
    assert row["detail"] == "no?=HYPERLINK(1)"


@pytest.mark.parametrize("formula", ["=HYPERLINK(1)", "-1+HYPERLINK(1)"])
async def test_csv_gives_a_spreadsheet_no_formula_but_negative_amounts(tmp_path, formula):
    journal = await opened(tmp_path)
    await journal.intend(plan(1))
    outcome = replace(ended(plan(1), Status.DROPPED, gas=7), detail=formula)
    await journal.settle(outcome)
    await journal.close()
    (row,) = csv.DictReader(io.StringIO(csv_text(read_books(tmp_path / "keeper.sqlite"))))
    assert row["detail"] == f"'{formula}"
    assert row["net"] == "-7"


@pytest.mark.parametrize(
    ("raw", "unit", "text"),
    [
        (0, 10**18, "0.000000"),
        (1, 10**18, "0.000000"),
        (-1, 10**18, "-0.000001"),
        (1_234_567 * 10**18 + 999_999_999_999, 10**18, "1,234,567.000000"),
        (123_456_789, 10**6, "123.456789"),
        (-15 * 10**17, 10**18, "-1.500000"),
        (42, 1, "42.000000"),
    ],
)
def test_an_amount_is_rounded_down(raw, unit, text):
    assert units_text(raw, unit) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [("0x" + "ab" * 20, "0xabab…abab"), ("0x1234", "0x1234"), ("", "")],
)
def test_an_address_is_shown_by_its_ends(text, short):
    assert short_hex(text) == short
