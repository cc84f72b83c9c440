"""What is deployed: nothing listens beyond this machine, nobody is root, no password is written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lora_builder.settings import Settings
from tests.far_servers import QUIET

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))
OTHERS = {"GRADIO_SERVER_NAME", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REDISCLI_AUTH", *QUIET}


def test_only_this_machine_can_open_what_compose_starts() -> None:
    """Every published port is bound to loopback; the database, Redis and Dask are on one of their own."""
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        if name not in ("app", "worker"):
            assert service["networks"] == ["inside"], name
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_no_password_is_written_down() -> None:
    """Passwords come from whoever starts it, who is told when one is missing."""
    for service in COMPOSE["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if "PASSWORD" in name or "AUTH" in name:
                assert re.fullmatch(r"\$\{\w+_PASSWORD:\?[^}]+\}", value)
            for password in re.findall(r"://\w*:([^@]*)@", value):
                assert re.fullmatch(r"\$\{\w+_PASSWORD:\?[^}]+\}", password)


def test_every_variable_is_a_setting() -> None:
    """A variable that nobody reads would promise what does not happen."""
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    for service in COMPOSE["services"].values():
        assert set(service.get("environment") or ()) <= known
    for document in KUBERNETES:
        for container in document["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            assert {entry["name"] for entry in container["env"]} <= known


def test_dask_is_set_up_as_it_was_measured() -> None:
    """The figures in docs/cluster.md hold for what it says there, and compose does the same."""
    guide = (ROOT / "docs/cluster.md").read_text()
    for name in ("scheduler", "dask-worker"):
        assert COMPOSE["services"][name]["environment"] == QUIET
    assert all(f"{name}={value}" in guide for name, value in QUIET.items())
    worker = COMPOSE["services"]["dask-worker"]["command"]
    assert worker[worker.index("--memory-limit") + 1] == "0" and "--memory-limit 0" in guide


def test_nobody_is_root() -> None:
    """The image runs as a user of its own, in compose without rights to gain, in Kubernetes by order."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM"))
    user = next(line for line in lines[last:] if line.startswith("USER ")).split()[1]
    assert user not in ("root", "0") and f"useradd --uid {user}" in "\n".join(lines)
    assert any(line.startswith("HEALTHCHECK") for line in lines[last:])
    for name in ("app", "worker", "scheduler", "dask-worker"):
        service = COMPOSE["services"][name]
        assert service["cap_drop"] == ["ALL"] and service["read_only"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for document in KUBERNETES:
        if document["kind"] == "Deployment":
            context = document["spec"]["template"]["spec"]["securityContext"]
            assert context["runAsNonRoot"] and str(context["runAsUser"]) == user


def test_the_image_holds_what_the_extras_name() -> None:
    """The image can ring and be part of a cluster, with the versions that the package asks for."""
    project = (ROOT / "pyproject.toml").read_text()
    for wanted in re.findall(r'^(?:queue|cluster) = \["([^"]+)"\]', project, re.MULTILINE):
        assert f'"{wanted}"' in (ROOT / "Dockerfile").read_text()
