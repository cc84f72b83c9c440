"""The doctor: what is here, what is missing, how to get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_builder import doctor
from lora_builder.doctor import Health, examine
from lora_builder.settings import Settings, load
from tests.servers import redis

ROOT = Path(__file__).resolve().parents[1]


def by_name(settings: Settings) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in examine(settings)}


def test_a_machine_where_the_tests_run_is_well(settings: Settings) -> None:
    """Everything the work needs is found, and says which version."""
    findings = by_name(settings)
    assert not [finding for finding in findings.values() if finding.health is Health.BROKEN]
    assert "mediapipe 0.10.14" in findings["packages"].found
    assert {"OpenCV", "formats", "model yunet-sface", "data folder", "database", "machine"} <= set(findings)


def test_what_is_missing_comes_with_how_to_get_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package, a model, a folder, a database: each broken one has its remedy."""
    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, "no-such-package"))
    (tmp_path / "file").write_text("in the way")
    broken = load(
        data_dir=tmp_path / "file" / "data",
        database_url="sqlite:////proc/nowhere/lora.db",
        face_model="insightface:antelopev2",
        insightface_root=tmp_path / "no packs",
    )
    findings = by_name(broken)
    for name in ("packages", "model insightface:antelopev2", "data folder", "database"):
        assert findings[name].health is Health.BROKEN and findings[name].remedy, name


def test_a_broker_that_rings_no_more_is_told(settings: Settings, tmp_path: Path) -> None:
    """Jobs go on without it, only later, so it is a warning."""
    pytest.importorskip("kombu")
    with redis(tmp_path / "redis") as broker:
        named = settings.model_copy(update={"redis_url": broker.url})
        assert by_name(named)["broker"].health is Health.OK
    gone = by_name(named)["broker"]
    assert gone.health is Health.WARNING and "REDIS_URL" in gone.remedy


def test_the_doctor_can_be_asked_by_a_script(tmp_path: Path) -> None:
    """`doctor --json` prints one list, and its exit code says whether anything is broken."""
    command = [sys.executable, "-m", "lora_builder", "doctor", "--json", "--set", "body_model=none"]
    environment = os.environ | {"LORA_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert {finding["health"] for finding in json.loads(done.stdout)} <= {"ok", "warning"}


def test_a_bare_server_is_told_what_to_install(tmp_path: Path) -> None:
    """Where OpenCV's system libraries are missing, one sentence says which, not a traceback."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "LORA_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "lora_builder", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr and "libgl1" in done.stderr and "Traceback" not in done.stderr
