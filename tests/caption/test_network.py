"""The way out cannot be led astray: addresses, redirects, proxies, keys in addresses."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pydantic import SecretStr

from lora_builder.caption.client import Client, Trouble
from lora_builder.caption.endpoints import PRESETS, Endpoint, endpoints_of, models_of
from lora_builder.caption.network import AddressRefused, _Backend, http_client, refused
from lora_builder.caption.probe import probe
from lora_builder.caption.records import Outcome
from lora_builder.errors import BadSettings
from lora_builder.settings import load
from tests.caption.conftest import Unruly


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "100.100.100.200", "::1", "::", "fe80::1", "fd00:ec2::254", "fc00::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "224.0.0.1",
    ],
)  # fmt: skip
def test_a_visitor_reaches_nothing_private(address: str) -> None:
    """Loopback, private, link-local, metadata, and the IPv6 forms that lead there."""
    assert refused(address, private_ok=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_fine(address: str) -> None:
    """Services on the internet can be asked."""
    assert not refused(address, private_ok=False)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "100.100.100.200", "::ffff:169.254.169.254"]
)
def test_credentials_of_a_cloud_are_never_reached(address: str) -> None:
    """Not even by a local user's mistake."""
    assert refused(address, private_ok=True)
    assert not refused("127.0.0.1", private_ok=True)


def test_a_host_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose answer changes later (rebinding) is not asked again; one bad address spoils all."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    backend = _Backend(private_ok=False)
    assert backend._resolved("host.example", 443) == ["93.184.216.34"]
    assert backend._resolved("host.example", 443) == ["93.184.216.34"]
    assert len(answers) == 1
    answers[:] = [["93.184.216.34", "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        backend._resolved("both.example", 443)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]"])
def test_other_ways_to_write_this_machine_are_seen_through(host: str) -> None:
    """The check is on what the name resolves to, whatever the name looks like."""
    client = Client(Endpoint("x", f"http://{host}:9/v1", private_ok=False), 5.0)
    with pytest.raises(Trouble) as refusal:
        client.models()
    client.close()
    assert refusal.value.outcome in (Outcome.FORBIDDEN, Outcome.CONNECTION)
    assert "may not be called" in refusal.value.detail or "cannot be found" in refusal.value.detail


def test_our_own_way_to_connect_is_in_force(server: Unruly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a new httpx2 keeps its pool elsewhere; proxies of the environment are ignored."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with http_client(private_ok=False) as closed, pytest.raises(AddressRefused):
        closed.get(f"{server.url}/models")
    with http_client(private_ok=True) as open_client:
        assert open_client.get(f"{server.url}/models").status_code == 200
        assert not open_client.follow_redirects


def test_addresses_hold_no_keys() -> None:
    """A password or a query in an address is refused, and not repeated."""
    for url in ("https://me:hush@host/v1", "https://host/v1?key=hush", "ftp://host", "host/v1"):
        with pytest.raises(BadSettings) as refusal:
            endpoints_of(load(base_url=url))
        assert "hush" not in str(refusal.value)


def test_each_endpoint_gets_its_own_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One service's key is not sent to another."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-1234567890")
    monkeypatch.setenv("LAB_API_KEY", "lab-key")
    settings = load(
        base_url="https://api-inference.modelscope.cn/v1",
        modelscope_token="ms-1234567890",
        endpoints="openai,ollama,lab=http://10.0.0.5:8000/v1",
        endpoint_keys={"openai": SecretStr("sk-session")},
    )
    keys = {name: place.key.get_secret_value() for name, place in endpoints_of(settings).items()}
    assert keys == {"modelscope": "ms-1234567890", "openai": "sk-session", "ollama": "", "lab": "lab-key"}
    assert "ms-1234567890" not in str(settings) + repr(endpoints_of(settings))
    assert "sk-session" not in str(settings) + repr(settings)


def test_the_priority_list_runs_over_endpoints() -> None:
    """MODEL@ENDPOINT names the place, the fallback comes last, limits go with their model."""
    settings = load(
        base_url="http://127.0.0.1:1/v1",
        endpoints="ollama",
        fallback_model="last",
        model_limits="big rpm=10 rpd=100 parallel=2 in=0.5 out=1.5",
    )
    models = models_of(settings, "big, small@ollama, @cf/meta/eye")
    assert [model.label for model in models] == ["big@base", "small@ollama", "@cf/meta/eye@base", "last@base"]
    assert (models[0].per_minute, models[0].per_day, models[0].parallel) == (10, 100, 2)
    assert (models[1].price_in, models[0].price_out) == (0.0, 1.5)
    assert models_of(load(), "big") == []
    assert models_of(load(base_url=PRESETS["openai"].url), "")[0].name == PRESETS["openai"].model
    with pytest.raises(BadSettings):
        models_of(load(base_url="http://127.0.0.1:1/v1"), "")


def test_a_connection_can_be_tested(server: Unruly) -> None:
    """The models by name and an answer to a grey picture; or the server's own words."""
    place = Endpoint("lab", server.url, SecretStr("sk-marked-secret-0123456789"))
    found = probe(place, "alpha")
    assert found.good and found.models == ("alpha", "beta") and server.log[-1]["bytes"] < 2000
    server.behave(then="401")
    failed = probe(place, "alpha")
    assert not failed.good and "Incorrect API key provided" in failed.said
    assert "marked-secret" not in failed.said
    assert not probe(Endpoint("gone", "http://127.0.0.1:9/v1"), "alpha").good


def test_without_an_endpoint_the_sdk_is_not_even_loaded() -> None:
    """Nothing of openai or httpx2 is imported until somebody is asked."""
    code = (
        "import sys, lora_builder.pipeline, lora_builder.cli, lora_builder.caption.stage\n"
        "print([name for name in ('openai', 'httpx2', 'httpcore2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
