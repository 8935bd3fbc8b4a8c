"""The command line. It only parses; each command is a module of ``keeper.commands``."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated


@contextmanager
def _loading() -> Iterator[None]:
    """Let Ctrl-C end the process at once and silently: there is nothing to put away yet."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


with _loading():
    import typer

    from keeper import __version__
    from keeper.cli_keys import keys

app = typer.Typer(
    name="keeper",
    help="Liquidate under-collateralised loans: exact, disarmed by default, books to the wei.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The keeper's root YAML file.")]
ChainName = Annotated[
    str | None, typer.Option("--chain", help="Only this chain of a configuration of several.")
]
Block = Annotated[int | None, typer.Option(min=0, help="Look at an older block.")]
Below = Annotated[str | None, typer.Option(help="Only health factors below, as 1.05.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


@app.command()
def demo(
    protocol: Annotated[str, typer.Option(help="The lending protocol to watch.")] = "aave_v3",
    borrowers: Annotated[int, typer.Option(min=50, max=10_000, help="Loans in the market.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep configuration and database here.")] = None,
    aave: Annotated[
        str, typer.Option(help="Release of Aave V3, 3.0 or 3.6; in other demos it only lends.")
    ] = "3.0",
) -> None:
    """Watch the whole job on a local market of real contracts. No key, no node."""
    from keeper.commands.console import say
    from keeper.commands.demo import demo as work
    from keeper.commands.running import FAILED, CommandFailed, run_command
    from keeper.devnet.stages import Wanted

    wanted = Wanted(seed=seed, borrowers=borrowers, aave=aave, progress=say)
    verdict = run_command(lambda: work(protocol, wanted, keep))
    for line in verdict.lines:
        say(line)
    if not verdict.good:
        raise CommandFailed(FAILED)


@app.command()
def run(
    config: Config,
    arm: Annotated[bool, typer.Option("--arm", help="Send for real; see the README.")] = False,
    chain: ChainName = None,
) -> None:
    """Watch, and liquidate when armed. Disarmed unless asked for twice."""
    # The kill switch waits for ``halt_on_signal``: as it is it would end the process, and whoever
    # starts that again would have it send.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    from keeper.runtime.garbage import loading

    with loading():
        from keeper.commands.run import run as work
        from keeper.commands.running import run_command

    run_command(lambda: work(config, arm=arm, chain=chain))


@app.command("dry-run")
def dry_run(
    config: Config,
    fork_block: Annotated[int | None, typer.Option(min=0, help="Block to fork at.")] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks to mine on the fork.")] = 10,
    chain: ChainName = None,
) -> None:
    """Run the whole pipeline on an anvil fork of the configured chain, sending for real there."""
    from keeper.commands.dry_run import dry_run as work
    from keeper.commands.running import run_verdict

    run_verdict(lambda: work(config, fork_block=fork_block, blocks=blocks, chain=chain))


@app.command()
def scan(
    config: Config,
    below: Below = None,
    block: Block = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show so many at most.")] = None,
    chain: ChainName = None,
    as_json: AsJson = False,
) -> None:
    """Show every account with debt, riskiest first."""
    from keeper.commands.running import run_command
    from keeper.commands.scan import Wanted
    from keeper.commands.scan import scan as work
    from keeper.commands.typed import typed_wad

    wanted = Wanted(below=typed_wad("--below", below), block=block, most=top)
    run_command(lambda: work(config, wanted, as_json=as_json, chain=chain))


@app.command()
def explain(
    config: Config,
    account: Annotated[str, typer.Argument(help="The borrower's address.")],
    block: Block = None,
    chain: ChainName = None,
    as_json: AsJson = False,
) -> None:
    """Show one account whole: health term by term, where it crosses, the best plan, and why."""
    from keeper.commands.explain import explain_account
    from keeper.commands.running import run_verdict

    run_verdict(lambda: explain_account(config, account, block=block, as_json=as_json, chain=chain))


@app.command()
def whatif(  # noqa: PLR0913, PLR0917 - a command's options
    config: Config,
    price: Annotated[
        list[str] | None, typer.Option(help="FEED=-12% or FEED=1800; may be repeated.")
    ] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(help="Debt at risk for falls of FEED; may be repeated.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the sweeps as a page.")] = None,
    block: Block = None,
    top: Annotated[int, typer.Option(min=1, help="Accounts to show.")] = 20,
    chain: ChainName = None,
    as_json: AsJson = False,
) -> None:
    """Show who becomes liquidatable when prices move, how much debt, how much profit."""
    from keeper.commands.running import run_command
    from keeper.commands.whatif import Question
    from keeper.commands.whatif import whatif as work

    question = Question(
        prices=tuple(price or ()), sweeps=tuple(sweep or ()), html=html, block=block, top=top
    )
    run_command(lambda: work(config, question, as_json=as_json, chain=chain))


@app.command()
def rehearse(
    config: Config,
    below: Below = None,
    block: Block = None,
    top: Annotated[int, typer.Option(min=1, help="Rehearse so many at most, riskiest first.")] = 20,
    chain: ChainName = None,
    as_json: AsJson = False,
) -> None:
    """Liquidate each account near the line in a simulation, at the price at which it crosses."""
    from keeper.commands.rehearse import Wanted
    from keeper.commands.rehearse import rehearse as work
    from keeper.commands.running import run_verdict
    from keeper.commands.typed import typed_wad

    wanted = Wanted(below=typed_wad("--below", below), block=block, most=top)
    run_verdict(lambda: work(config, wanted, as_json=as_json, chain=chain))


@app.command()
def report(
    config: Config,
    since: Annotated[str, typer.Option(help="A day (2026-11-22) or unix seconds.")] = "0",
    chain: ChainName = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Also write a static page.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write a table.")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="With --json: what was missed.")] = False,
) -> None:
    """Show the books: penalty waterfall, forecast beside realised, what was missed and why."""
    from keeper.commands.report import Shown, parse_since
    from keeper.commands.report import report as work
    from keeper.commands.running import plainly

    with plainly():
        shown = Shown(as_json=as_json, missed=missed, html=html, csv=csv)
        work(config, shown, since=parse_since(since), chain=chain)


@app.command()
def resume(
    config: Config,
    deployment: Annotated[
        str | None, typer.Argument(help="As in protocol files: aave_v3.ethereum.")
    ] = None,
    chain: ChainName = None,
    as_json: AsJson = False,
) -> None:
    """Act again on markets that drifted from the chain; without a name, show what is paused."""
    from keeper.commands.resume import resume as work
    from keeper.commands.running import plainly

    with plainly():
        work(config, deployment, as_json=as_json, chain=chain)


@app.command()
def deploy(
    config: Config,
    owner: Annotated[str, typer.Option(help="Sets roles and rescues tokens; keep it cold.")],
    operator: Annotated[
        list[str],
        typer.Option(help="A hot key's address, which may run programs; repeat for more."),
    ],
    recipient: Annotated[str, typer.Option(help="Where every profit goes.")],
    treasury: Annotated[
        str | None,
        typer.Option(help="Also the Inventory, which lends this address's tokens to the executor."),
    ] = None,
    arm: Annotated[bool, typer.Option("--arm", help="Send for real; see the README.")] = False,
    chain: ChainName = None,
) -> None:
    """Put the on-chain executor on the chain, or show where it would be."""
    from keeper.commands.deploy import deploy as work
    from keeper.commands.running import run_command

    run_command(
        lambda: work(
            config,
            owner=owner,
            operators=operator,
            recipient=recipient,
            treasury=treasury,
            arm=arm,
            chain=chain,
        )
    )


@app.command()
def doctor(config: Config, chain: ChainName = None, as_json: AsJson = False) -> None:
    """Check the configuration against the chain: addresses, feeds, roles, balances."""
    from keeper.commands.doctor import doctor as work
    from keeper.commands.running import run_verdict

    run_verdict(lambda: work(config, as_json=as_json, chain=chain))


@app.command()
def rearm(config: Config, chain: ChainName = None, as_json: AsJson = False) -> None:
    """Let sending go on after the circuit breaker or the kill switch stopped it."""
    from keeper.commands.rearm import rearm_sending
    from keeper.commands.running import plainly

    with plainly():
        rearm_sending(config, as_json=as_json, chain=chain)


app.add_typer(keys, name="keys")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Show the version when asked."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with the command's code."""
    if sys.stdout is None:  # closed by whoever started it, as `>&-` does
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it stays
    with _loading():
        from keeper.commands.console import let_go, say_of_stdout
        from keeper.commands.running import CommandFailed, plainly

    say_of_stdout()
    try:
        with plainly():
            try:
                app()
            finally:
                sys.stdout.flush()  # at the process's end nobody could say what is wrong
    except CommandFailed as failed:
        raise SystemExit(failed.code) from None
    except BrokenPipeError:
        let_go()  # the reader, head or less, has seen enough
