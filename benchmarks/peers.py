"""Other tools on the same photos, by the same measure: who finds the pairs that are one picture?

    python benchmarks/peers.py --photos ../shared/photos [--data FOLDER] [--place FOLDER] [--only NAME,...]

Each tool is installed from PyPI into a virtual environment of its own (kept in `--place`), asked on a
copy of the labelled photos, and scored on the pairs of `pairs.py`: at its default setting, and at
whichever of its settings does best on these very photos, which nobody could know beforehand. A tool that
lists pairs counts as better of the two: as listed, or with all that hang together made one group.
Prints the table that docs/benchmarks.md quotes, and why a tool could not be asked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy import everything, judged
from benchmarks.pairs import Pair, PairTruth, Score, closed, dropped_for, ordered, pair_truth, score
from benchmarks.peer_tools import TOOLS
from benchmarks.scenarios import Truth, load_truth
from lora_builder.settings import load

PATIENCE = 900
"""Seconds that a tool has for all photos and settings."""

QUIET = {"SENTRY_OPT_OUT": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
"""Tools ask for this; none needs to tell anybody that it was measured."""


@dataclass(frozen=True)
class Answer:
    """By setting how right the tool's pairs are, the default first; or why there is no answer."""

    scores: Mapping[str, Score]
    version: str = ""
    failure: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="where measurements are kept; default: a temporary folder")
    parser.add_argument("--place", type=Path, help="where virtual environments are kept; default: temporary")
    parser.add_argument("--only", default=",".join(TOOLS), help=f"of {', '.join(TOOLS)}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        settings = load(data_dir=arguments.data or place / "data", small_photos="keep")
        truth = load_truth(arguments.photos.resolve(), settings)
        pairs = pair_truth(truth)
        names = copied(truth, pairs, place / "photos")
        print(f"{len(names)} photos, {len(pairs.same)} pairs of one picture or moment\n")
        print("| tool | setting | precision | recall | F1 | F1, each group once | its best setting here |")
        print("|---|---|---|---|---|---|---|")
        ours = score(pairs, dropped_for(judged(truth, pairs.paths, everything(settings)).values()))
        print(row("**ours**", Answer({"default": ours})))
        failures = {}
        for tool in arguments.only.split(","):
            answer = ask(tool, place / "photos", arguments.place or place / "venvs", names, pairs)
            if answer.failure:
                failures[tool] = answer.failure
            else:
                print(row(f"{tool} {answer.version}", answer), flush=True)
        for tool, failure in failures.items():
            print(f"\n{tool} could not be asked: {failure}")


def copied(truth: Truth, pairs: PairTruth, folder: Path) -> dict[str, str]:
    """The photos in one folder under neutral names (a name tells who it is); by those their paths."""
    folder.mkdir(parents=True)
    names = {}
    for number, path in enumerate(pairs.paths):
        source = truth.photos[path].source.path
        name = f"{number:04d}{source.suffix.lower()}"
        shutil.copyfile(source, folder / name)
        names[name] = path
    return names


def ask(tool: str, photos: Path, venvs: Path, names: Mapping[str, str], pairs: PairTruth) -> Answer:
    package = tool.split()[0]
    home = venvs / package
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    installed = _run([python, "-m", "pip", "install", "--quiet", package])
    if installed.returncode:
        return Answer({}, failure=f"pip: {_last_line(installed.stderr)}")
    shown = _run([python, "-m", "pip", "show", package]).stdout.splitlines()
    version = next((line.split()[1] for line in shown if line.startswith("Version:")), "")
    try:
        done = _run([python, str(ROOT / "benchmarks" / "peer_tools.py"), tool, str(photos)])
    except subprocess.TimeoutExpired:
        return Answer({}, failure=f"no answer within {PATIENCE} s")
    if done.returncode:
        return Answer({}, failure=_last_line(done.stderr))
    found = json.loads(done.stdout.splitlines()[-1])
    return Answer({setting: best_of(pairs, links, names) for setting, links in found.items()}, version)


def best_of(pairs: PairTruth, links: list[list[str]], names: Mapping[str, str]) -> Score:
    """The score of what a tool lists, or of the groups that it makes, whichever is better."""
    listed: set[Pair] = {ordered(names[one], names[other]) for one, other in links if one != other}
    return max((score(pairs, listed), score(pairs, closed(listed))), key=lambda result: result.value)


def row(title: str, answer: Answer) -> str:
    setting, given = next(iter(answer.scores.items()))
    best = max(answer.scores, key=lambda name: answer.scores[name].value)
    even = max(answer.scores, key=lambda name: answer.scores[name].even_value)
    chances = f"{answer.scores[best].value:.1%} ({best}); {answer.scores[even].even_value:.1%} ({even})"
    chances = "" if len(answer.scores) == 1 else chances
    figures = f"{given.precision} | {given.recall} | {given.f1} | {given.even_f1}"
    return f"| {title} | {setting} | {figures} | {chances} |"


def _run(command: list[Path | str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **QUIET}
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
        check=False,
    )


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


if __name__ == "__main__":
    main()
