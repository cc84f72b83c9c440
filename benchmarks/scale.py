"""What work beyond one machine costs, and what it survives: one table a part.

    python benchmarks/scale.py                     every part, made photos, some ten minutes
    python benchmarks/scale.py overhead kills --photos FOLDER

Each part is a file `scale_*.py` with a function `run`. Real servers are started on loopback, so the
coordinator, the scheduler, the workers and their processes share this machine's cores: on a cluster
they do not. Prints the tables that docs/scale.md quotes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PARTS = {path.stem.removeprefix("scale_"): path.stem for path in Path(__file__).parent.glob("scale_*.py")}
"""The parts by name, and the module of each."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(sorted(PARTS))}; none: all")
    parser.add_argument("--photos", type=Path, help="folder of real photos; none: made ones")
    parser.add_argument("--most", type=int, default=220, help="photos that are measured in earnest, at most")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000], help="simulated photos")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    for part in arguments.parts or sorted(PARTS):
        print(f"\n## {part}\n", flush=True)
        importlib.import_module(PARTS[part]).run(arguments)


if __name__ == "__main__":
    main()
