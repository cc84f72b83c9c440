"""Files appear whole or not at all; scratch space outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lora_builder.errors import OutputUnwritable, ProjectBusy
from lora_builder.files import atomic_write, locked, scratch, sweep

ROOT = Path(__file__).resolve().parents[1]

LITTER = """
import os, signal, sys
from pathlib import Path
from lora_builder.files import scratch
(scratch(Path(sys.argv[1])) / "half a photo.jpg").write_bytes(b"half")
print("written", flush=True)
if sys.argv[2] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
input()
"""


def process(root: Path, what: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", LITTER, str(root), what]
    started = subprocess.Popen(command, text=True, cwd=ROOT, **pipes)  # type: ignore[call-overload]
    assert started.stdout.readline() == "written\n"
    return started


def leftovers(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "scratch").rglob("*.jpg"))


def test_what_a_killed_process_left_is_swept_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    """Half-unpacked photos do not pile up after kills; nobody's work in hand is taken away."""
    process(tmp_path, "die").wait()
    alive = process(tmp_path, "live")
    assert len(leftovers(tmp_path)) == 2
    sweep(tmp_path)
    assert len(leftovers(tmp_path)) == 1
    alive.communicate("\n")
    assert not leftovers(tmp_path)
    sweep(tmp_path)
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_scratch_space_is_one_folder_a_process(tmp_path: Path) -> None:
    """Asked twice, the same place."""
    assert scratch(tmp_path) == scratch(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="limits on file sizes are POSIX")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """No room for the new one: the old one stays whole, and the message says what to do."""
    target = tmp_path / "decisions.jsonl"
    target.write_bytes(b"old and whole")
    script = (
        "import resource, sys; from pathlib import Path; from lora_builder.files import atomic_write\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "atomic_write(Path(sys.argv[1]), b'x' * 5000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(target)], capture_output=True, text=True, cwd=ROOT
    )
    assert "OutputUnwritable" in done.stderr
    assert target.read_bytes() == b"old and whole"
    assert [path.name for path in tmp_path.iterdir()] == ["decisions.jsonl"]


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    """The user's own file is not touched, and named."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputUnwritable, match="out"):
        atomic_write(tmp_path / "out" / "report.json", b"{}")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    """After a kill the project is free at once; while its run lives, it is busy."""
    script = (
        "import sys; from pathlib import Path; from lora_builder.files import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
    with pytest.raises(ProjectBusy), locked(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path):
        pass
