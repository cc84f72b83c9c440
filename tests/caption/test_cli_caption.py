"""Vision models from the command line: the same stage, the same guards."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.caption.conftest import Unruly
from tests.test_cli import cli

KEY = "ms-marked-secret-0123456789"


def test_caption_by_endpoint_and_model(server: Unruly, portrait: Image.Image, tmp_path: Path) -> None:
    """`caption --endpoint --model` asks, a failed one blocks `pack` with a name, and no key is printed."""
    (tmp_path / "in").mkdir()
    portrait.resize((1200, 1200)).save(tmp_path / "in" / "eileen.jpg")
    out = tmp_path / "out"
    made = cli("prepare", "--input", tmp_path / "in", "--output", out)
    assert made.returncode == 0, made.stderr
    asked = ("--endpoint", server.url, "--model", "alpha", "--model", "beta", "--set", "trigger=ohwx")
    server.behave(models={"alpha": "401", "beta": "refuse"})
    place = ("--endpoint", server.url, "--endpoint", f"lab={server.url}")
    failed = cli(
        "caption",
        "--output",
        out,
        *place,
        "--model",
        "alpha",
        "--model",
        "beta@lab",
        "-v",
        MODELSCOPE_TOKEN=KEY,
    )
    assert "1 failed" in failed.stderr and KEY not in failed.stderr + failed.stdout
    server.behave()
    done = cli("caption", "--output", out, *asked, MODELSCOPE_TOKEN=KEY)
    assert done.returncode == 0, done.stderr
    assert "1 picture goes to 127.0.0.1" in done.stderr and "1 by alpha@base" in done.stderr
    rows = json.loads(cli("ledger", "--output", out, "--json").stdout)
    assert {row["model"] for row in rows} == {"alpha", "beta"}
    assert sum(row["answered"] for row in rows) == 1
    packed = cli(
        "pack", "--output", out, "--set", "trigger=ohwx", BASE_URL=server.url, TAG_MODEL="alpha,beta"
    )
    assert packed.returncode == 0, packed.stderr
    text = next(out.rglob("dataset/0001.txt")).read_text(encoding="utf-8")
    assert text.startswith("ohwx person, a bust shot")
    assert len([line for line in server.log if line["how"] == "good"]) == 1


def test_a_failed_caption_blocks_packing_by_name(
    server: Unruly, portrait: Image.Image, tmp_path: Path
) -> None:
    """No dataset with a hole in it: the photo is named, and so is what to do."""
    (tmp_path / "in").mkdir()
    portrait.resize((1200, 1200)).save(tmp_path / "in" / "eileen.jpg")
    server.behave(then="refuse")
    where = ("--input", tmp_path / "in", "--output", tmp_path / "out")
    model = {"BASE_URL": server.url, "TAG_MODEL": "alpha"}
    blocked = cli("run-all", *where, **model)
    assert blocked.returncode == 1
    assert "eileen.jpg" in blocked.stderr and "failed_captions" in blocked.stderr
    assert not list((tmp_path / "out").rglob("train_package.zip"))
    composed = cli("run-all", *where, "--set", "failed_captions=compose", **model)
    assert composed.returncode == 0, composed.stderr
    assert list((tmp_path / "out").rglob("train_package.zip"))


def test_endpoints_are_listed_and_tested(server: Unruly) -> None:
    """Presets say where keys come from and whether photos leave; a test says what the server says."""
    rows = {row["name"]: row for row in json.loads(cli("endpoints", "--json").stdout)}
    assert rows["openai"]["photos_leave"] and rows["openai"]["key_from"].startswith("https://")
    assert not rows["ollama"]["photos_leave"] and not any(row["in_use"] for row in rows.values())
    tested = cli("endpoints", "--endpoint", server.url, "--model", "alpha", "--test", "--json")
    (found,) = json.loads(tested.stdout)
    assert tested.returncode == 0 and found["good"] and found["models"] == ["alpha", "beta"]
    gone = cli("endpoints", "--endpoint", "http://127.0.0.1:9/v1", "--test")
    assert gone.returncode == 1 and "Traceback" not in gone.stderr
