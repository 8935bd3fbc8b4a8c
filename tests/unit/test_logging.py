"""Log lines: no secret and no foreign control character gets into one."""

import ast
import io
import json
import logging
import re
import sys
import unicodedata
from pathlib import Path
from time import process_time

import pytest
import structlog

import keeper
from keeper.core.text import printable, shown_url
from keeper.evm.transaction import LocalSigner
from keeper.telemetry.logging import configure_logging
from keeper.telemetry.redaction import HIDDEN, TEXT_LIMIT, Redactor
from tests.support.ledger_records import FEES, plan

CANARY_KEY = "c0ffee" * 10 + "c0de"
CANARY_URL = "https://user:canarypass@eth.example.com:8443/v2/canarysecret?token=canarytoken"
HASH = "0x" + "ab" * 32


@pytest.fixture
def out():
    """A stream that the log is written to; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_a_line_in_json_holds_event_level_time_and_facts(out):
    configure_logging(form="json", stream=out)
    structlog.get_logger().info("block.processed", block=7, accounts=3)
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["block"]) == ("block.processed", "info", 7)
    assert line["timestamp"].endswith("Z")


def test_auto_is_json_when_nobody_looks(out):
    configure_logging(stream=out)
    structlog.get_logger().info("block.processed")
    assert json.loads(out.getvalue())["event"] == "block.processed"


def test_a_line_below_the_level_is_not_written(out):
    configure_logging(level="warning", form="json", stream=out)
    structlog.get_logger().info("block.processed")
    assert out.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_canaries_appear_in_no_line(out, form):
    signer = LocalSigner(bytes.fromhex(CANARY_KEY), chain_id=1)
    transaction = plan().transaction
    mine = type(transaction)(sender=signer.address, to=transaction.to, data=b"\x01" * 100)
    raw, tx_hash = signer.sign(mine, nonce=0, gas_limit=21_000, fees=FEES)
    configure_logging(form=form, stream=out, secrets=[CANARY_KEY])
    log = structlog.get_logger()

    log.info("a", private_key=CANARY_KEY, signer=signer, url=CANARY_URL)
    log.info("b", note=f"key is {CANARY_KEY}", marked="0x" + CANARY_KEY.upper())
    log.info("c", raw=raw, hexed=raw.hex(), marked="0x" + raw.hex(), parts=[{"deep": raw.hex()}])
    event = "cannot reach " + CANARY_URL
    log.info(event, tx_hash=tx_hash)
    logging.getLogger("aiohttp").warning("cannot reach %s", CANARY_URL)
    _fail_with_secrets_in_locals(log)

    written = out.getvalue().lower()
    for canary in (CANARY_KEY, "canarypass", "canarysecret", "canarytoken", raw.hex()):
        assert canary.lower() not in written
    assert tx_hash in written
    assert "eth.example.com:8443" in written


def _fail_with_secrets_in_locals(log):
    held_in_a_local = CANARY_KEY
    try:
        int(CANARY_URL)
    except ValueError:
        log.exception("d", length=len(held_in_a_local))


@pytest.mark.parametrize("name", ["private_key", "api_key", "password", "raw", "signature"])
def test_a_field_named_like_a_secret_is_hidden(name):
    assert Redactor().field(name, "whatever") == HIDDEN


@pytest.mark.parametrize("name", ["key", "rawness", "keeper", "nonce", "signatory"])
def test_a_field_with_an_innocent_name_is_kept(name):
    assert Redactor().field(name, "whatever") == "whatever"


def test_hashes_stay_readable():
    assert Redactor().text(f"sent {HASH}") == f"sent {HASH}"


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("http://10.0.0.1:8545: expected a reply", "http://10.0.0.1:8545: expected a reply"),
        ("by (wss://h:1/canary), or ws://h:2.", "by (wss://h:1), or ws://h:2."),
        (f"{CANARY_URL}: no", "https://eth.example.com:8443: no"),
    ],
)
def test_a_url_in_a_sentence_is_shown_by_its_host(text, logged):
    assert Redactor().text(text) == logged


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("to slack://To/ken/canary now", "to <url> now"),
        ("tgram://1:canary/2,json://h/canary", "<url>"),
        ("(v1.slack+x://canary)", "(<url>"),
        ("1slack://canary", "<url>"),
    ],
)
def test_of_a_channels_url_nothing_is_shown(text, logged):
    assert Redactor().text(text) == logged


@pytest.mark.parametrize("part", ["a.", "a-", "https://", "a:", "-", "0x"])
def test_a_reason_without_an_end_holds_up_nothing(part):
    """A node, or a contract that reverts, chooses it: the event loop waits for its line."""
    began = process_time()
    assert len(Redactor().text(part * 100_000)) <= TEXT_LIMIT
    assert process_time() - began < 2


def test_a_url_that_is_all_host_is_no_secret():
    redactor = Redactor(["ws://127.0.0.1:8546", "wss://node.example/canarysecret"])
    assert redactor.text("head from ws://127.0.0.1:8546") == "head from ws://127.0.0.1:8546"
    assert "canarysecret" not in redactor.text("path is wss://node.example/canarysecret")


def test_a_bare_word_of_hex_is_taken_for_a_key():
    assert Redactor().text(HASH.removeprefix("0x")) == HIDDEN


def test_integers_that_json_readers_round_are_written_as_text():
    assert Redactor().field("net_wei", 10**19) == str(10**19)
    assert Redactor().field("block", 10**7) == 10**7


def test_bytes_are_named_by_their_length():
    assert Redactor().field("symbol", b"\xff" * 70) == "<70 bytes>"


def test_nesting_without_end_is_cut():
    knot: list[object] = []
    knot.append(knot)
    assert "<list>" in str(Redactor().field("knot", knot))


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        (b"US\xff\xfeDC", "US��DC"),
        ("\x1b[31mRED\x1b[0m", "?[31mRED?[0m"),
        ("A\nerror: B\r\tC", "A?error: B??C"),
        ("left\u202eright", "left?right"),
        ("zero\u200bwidth", "zero?width"),
    ],
)
def test_a_poisoned_symbol_is_made_printable(symbol, shown):
    assert printable(symbol) == shown


def test_of_every_character_it_is_told_the_same_way_whether_it_is_fit_to_show():
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    every = map(chr, range(sys.maxunicode + 1))
    assert all(
        printable(one) == ("?" if unicodedata.category(one) in bad else one) for one in every
    )


def test_a_megabyte_symbol_is_cut():
    assert len(printable(b"A" * 1_000_000)) == 64


def test_a_log_line_cannot_be_forged_by_a_symbol(out):
    configure_logging(form="console", stream=out)
    structlog.get_logger().info("feed.read", symbol="X\n2030 [error] fake.line")
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (CANARY_URL, "https://eth.example.com:8443"),
        ("wss://node/key", "wss://node"),
        ("https://[broken", "<url>"),
        ("not a url", "<url>"),
    ],
)
def test_a_url_is_shown_by_its_host(url, shown):
    assert shown_url(url) == shown


def test_every_event_is_a_constant_named_noun_and_past_participle():
    """``log.info(BLOCK_PROCESSED, ...)``: a constant of the module, ``block.processed``."""
    found = [one for path in _sources() for one in _events(path)]
    assert found
    assert [one for one in found if not re.fullmatch(r"[a-z_]+\.[a-z_]+", one[1])] == []


def _sources() -> list[Path]:
    return sorted(Path(keeper.__file__).parent.rglob("*.py"))


def _events(path: Path) -> list[tuple[str, str]]:
    """Return where and what each call of a logger in a file logs."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return [
        (f"{path.name}:{call.lineno}", _event(call.args[0], constants))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"debug", "info", "warning", "error", "exception"}
        and ast.unparse(call.func.value) in {"log", "self._log", "logger"}
    ]


def _event(argument: ast.expr, constants: dict[str, object]) -> str:
    name = argument.id if isinstance(argument, ast.Name) else ""
    return str(constants.get(name, f"not a constant: {ast.unparse(argument)}"))
