from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lora_builder.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def cli(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lora_builder", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=300,
    )


@pytest.fixture
def photos(tmp_path: Path, portrait: Image.Image) -> Path:
    for name in ("Ann", "Bea"):
        (tmp_path / "in" / name).mkdir(parents=True)
        portrait.resize((1200, 1200)).save(tmp_path / "in" / name / "portrait.jpg")
    return tmp_path / "in"


def test_folders_become_projects_and_stages_run_alone(photos: Path, tmp_path: Path) -> None:
    """`run-all` builds one dataset a folder; a stage alone works on what is known."""
    done = cli("run-all", "--input", photos, "--output", tmp_path / "out", "--json", "--workers", 1)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [(p["project"], p["kept"]) for p in summary["projects"]] == [("Ann", 1), ("Bea", 1)]
    again = cli("caption", "--output", tmp_path / "out", "--json", "--set", "trigger=ohwx")
    assert again.returncode == 0, again.stderr
    packed = cli("pack", "--output", tmp_path / "out", "--set", "trigger=ohwx")
    assert packed.returncode == 0, packed.stderr
    assert (tmp_path / "out" / "Ann" / "dataset" / "0001.txt").read_text().startswith("ohwx")


def test_errors_are_one_plain_line(tmp_path: Path) -> None:
    """No traceback for what the user can mend, and exit codes that scripts can read."""
    missing = cli("run-all", "--input", tmp_path / "nowhere", "--output", tmp_path / "out")
    assert missing.returncode == 1 and "nowhere" in missing.stderr and "Traceback" not in missing.stderr
    wrong = cli("config", "--set", "phash_threshold=99")
    assert wrong.returncode == 2 and "phash_threshold" in wrong.stderr and "Traceback" not in wrong.stderr


def test_config_says_where_each_value_comes_from(tmp_path: Path) -> None:
    """Flag, environment and default are told apart, and a key is never printed."""
    environment = {"KEEP_PER_CLUSTER": "3", "MODELSCOPE_TOKEN": "marked-secret"}
    done = cli("config", "--set", "trigger=ohwx", "--json", **environment)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["trigger"]["from"] == "argument"
    assert (rows["keep_per_cluster"]["value"], rows["keep_per_cluster"]["from"]) == ("3", "environment")
    assert rows["resolution"]["from"] == "default"
    assert "marked-secret" not in done.stdout + done.stderr


def test_models_are_listed_with_licence() -> None:
    """Each model says whether it is ready and what its licence allows."""
    rows = {row["name"]: row for row in json.loads(cli("models", "--json").stdout)}
    assert rows["yunet-sface"]["ready"] and rows["mediapipe"]["ready"]
    assert any("non-commercial" in row["licence"].lower() for row in rows.values())


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_run_opens_no_socket_beyond_loopback(photos: Path, tmp_path: Path) -> None:
    """Under strace, native libraries included: no connection to, and no packet for, anywhere else."""
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,bind", "-o", trace, sys.executable, "-m"]
        + ["lora_builder", "run-all", "--input", photos / "Ann", "--output", tmp_path / "out"],
        cwd=ROOT,
        env=os.environ | {"WORKERS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    calls = [line for line in trace.read_text().splitlines() if "sa_family=AF_INET" in line]
    beyond = [line for line in calls if not re.search(r'inet_addr\("127\.|"::1"', line)]
    assert beyond == []


def test_readme_names_every_documented_setting_and_command() -> None:
    """The commands of the README exist, and the documented environment names are settings."""
    help_text = cli("--help").stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("run-all", "prepare", "focus", "crop", "caption", "pack", "models", "config", "app"):
        assert command in help_text and f"`{command}" in readme
    documented = (
        "DATABASE_URL REDIS_URL MODELSCOPE_TOKEN BASE_URL FOCUS_MODEL TAG_MODEL FALLBACK_MODEL MAX_UPLOAD_MB "
        "PHASH_THRESHOLD KEEP_PER_CLUSTER PREVIEW_MAX_SIDE PREVIEW_JPEG_QUALITY MAX_IMAGE_PIXELS"
    )
    assert {name.lower() for name in documented.split()} <= set(Settings.model_fields)
