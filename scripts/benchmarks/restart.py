"""What a restart costs before the chain is asked: run in a process of its own, imports included."""

import sys
import time

_BEGUN = time.perf_counter()

from pathlib import Path  # noqa: E402 - what is measured begins above


def main() -> None:
    """Load a book, look once and prepare events; print seconds, and resident megabytes."""
    from benchmarks.crowd import FOLLOWING, HEAD, TARGET, crowd  # noqa: PLC0415 - measured
    from keeper.app.book_file import load_book  # noqa: PLC0415 - measured
    from keeper.scanner.scan import Book  # noqa: PLC0415 - measured
    from keeper.scanner.watch import Watch  # noqa: PLC0415 - measured

    imported = time.perf_counter()
    made = crowd(seed=7)
    saved = load_book(Path(sys.argv[1]), made.adapter)
    if saved is None:
        raise SystemExit("no book")
    loaded = time.perf_counter()
    watch = Watch(made.adapter)
    watch.forget(saved.columns)
    book = Book(
        block=HEAD,
        market=made.market,
        positions=saved.positions,
        prices=made.prices,
        problems={},
    )
    watch.look(book, TARGET, FOLLOWING, trigger="restart")
    looked = time.perf_counter()
    build = watch.build()
    if build is not None:
        watch.adopt(build.run())
    done = time.perf_counter()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    print(imported - _BEGUN, loaded - imported, looked - loaded, done - looked, resident)


if __name__ == "__main__":
    main()
