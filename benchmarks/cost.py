"""What a photo costs to keep: bytes in the database and beside it, and what that makes of many.

    python benchmarks/cost.py --data FOLDER

FOLDER is a data folder (`LORA_DATA_DIR`) in which real photos were measured. Prints the table that
docs/scale.md quotes; the columns for more photos are computed, not run.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
from pathlib import Path

MANY = (100_000, 1_000_000, 10_000_000)


def row(label: str, each: float) -> None:
    totals = " | ".join(f"{each * many / 2**30:,.1f}" for many in MANY)
    print(f"| {label} | {each / 1024:.1f} | {totals} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    with sqlite3.connect(f"file:{given.data / 'lora.db'}?mode=ro", uri=True) as database:
        query = "SELECT count(*), avg(length(facts) + length(arrays)) FROM measurements"
        count, measured = database.execute(query).fetchone()
        query = "SELECT avg(length(project_id) + length(source) + length(path) + 80) FROM photos"
        listed = database.execute(query).fetchone()[0] or 0.0
        decided = database.execute("SELECT avg(length(line)) FROM decisions").fetchone()[0] or 0.0
    sizes = [path.stat().st_size for path in (given.data / "previews").rglob("*.jpg")]
    print(f"{count} measurements and {len(sizes)} previews of {given.data}\n")
    print(f"| a photo | KiB | {' | '.join(f'{many:,} photos, GiB' for many in MANY)} |")
    print(f"|---|---|{'---|' * len(MANY)}")
    row("measurement, in the database", measured)
    row("its lines in lists and decisions", listed + decided)
    row("preview, in the data folder", statistics.fmean(sizes))


if __name__ == "__main__":
    main()
