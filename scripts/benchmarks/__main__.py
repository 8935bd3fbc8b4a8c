"""``scripts/bench [NAME ...] [--quick] [--json]``: measure, and hold to the goals.

A benchmark is a module ``bench_<name>`` with ``run(*, quick: bool) -> Iterator[Row]``; a new one is
found by its name.
"""

import argparse
import importlib
import pkgutil
import sys

import benchmarks
from benchmarks.rows import Row, progress, show

_PREFIX = "bench_"


def main() -> None:
    """Run the named benchmarks, or all, and print their rows."""
    known = [
        one.name.removeprefix(_PREFIX)
        for one in pkgutil.iter_modules(benchmarks.__path__)
        if one.name.startswith(_PREFIX)
    ]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="|".join(known), help="all when none is named")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(known):
        parser.error(f"expected {', '.join(known)}, found {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in asked.names or known:
        progress(f"bench {name}")
        module = importlib.import_module(f"benchmarks.{_PREFIX}{name}")
        for row in module.run(quick=asked.quick):
            rows.append(row)
            if asked.json:
                show([row], as_json=True)
    if not asked.json:
        show(rows, as_json=False)
    sys.exit(0)


if __name__ == "__main__":
    main()
