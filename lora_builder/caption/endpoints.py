"""Which servers may be asked, with which key, and the priority list of models over them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from lora_builder.errors import BadSettings
from lora_builder.settings import Settings

PARALLEL = 4
"""Requests at once to an endpoint that we know nothing about."""


@dataclass(frozen=True)
class Preset:
    """A server or service that speaks the protocol.

    `key_from`: where to get a key, empty where none is needed. `model`: a vision model that suits,
    as of the time of writing. `leaves`: whether photos leave the machine. `parallel`: requests at once.
    """

    name: str
    title: str
    url: str
    model: str
    key_name: str = ""
    key_from: str = ""
    leaves: bool = True
    parallel: int = PARALLEL


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("modelscope", "ModelScope", "https://api-inference.modelscope.cn/v1",
               "Qwen/Qwen3-VL-235B-A22B-Instruct", "MODELSCOPE_TOKEN",
               "https://modelscope.cn/my/myaccesstoken"),
        Preset("openai", "OpenAI", "https://api.openai.com/v1", "gpt-4.1-mini", "OPENAI_API_KEY",
               "https://platform.openai.com/api-keys", parallel=8),
        Preset("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "qwen/qwen3-vl-32b-instruct",
               "OPENROUTER_API_KEY", "https://openrouter.ai/settings/keys", parallel=8),
        Preset("dashscope", "DashScope (Alibaba Cloud)", "https://dashscope.aliyuncs.com/compatible-mode/v1",
               "qwen3-vl-plus", "DASHSCOPE_API_KEY", "https://bailian.console.aliyun.com/?apiKey=1"),
        Preset("siliconflow", "SiliconFlow", "https://api.siliconflow.cn/v1", "Qwen/Qwen3-VL-32B-Instruct",
               "SILICONFLOW_API_KEY", "https://cloud.siliconflow.cn/account/ak"),
        Preset("ollama", "Ollama", "http://127.0.0.1:11434/v1", "qwen3-vl:8b", leaves=False, parallel=2),
        Preset("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", "qwen/qwen3-vl-8b", leaves=False,
               parallel=2),
        Preset("vllm", "vLLM", "http://127.0.0.1:8000/v1", "Qwen/Qwen3-VL-8B-Instruct", leaves=False,
               parallel=16),
        Preset("llamacpp", "llama.cpp server", "http://127.0.0.1:8080/v1", "default", leaves=False,
               parallel=2),
        Preset("transformers", "transformers serve", "http://127.0.0.1:8000/v1",
               "Qwen/Qwen3-VL-4B-Instruct", leaves=False, parallel=2),
    )
}  # fmt: skip
"""By name, for `ENDPOINTS`, `MODEL@NAME` and the app's list."""


@dataclass(frozen=True)
class Endpoint:
    """One server in use. `private_ok`: it may lie on this machine or network."""

    name: str
    url: str
    key: SecretStr = field(default_factory=lambda: SecretStr(""), repr=False)
    parallel: int = PARALLEL
    private_ok: bool = True
    leaves: bool = True

    @property
    def host(self) -> str:
        """The host, and the port where it is not the usual one, for people and the ledger."""
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2]


@dataclass(frozen=True)
class Model:
    """One model on one endpoint, with its limits.

    `per_minute`, `per_day`: requests, None: no limit. `price_in`, `price_out`: dollars a million
    tokens, None: not known.
    """

    name: str
    endpoint: Endpoint
    per_minute: int | None = None
    per_day: int | None = None
    parallel: int | None = None
    price_in: float | None = None
    price_out: float | None = None

    @property
    def label(self) -> str:
        """Who it is, as captions name their author."""
        return f"{self.name}@{self.endpoint.name}"


def endpoint(name: str, url: str, settings: Settings, key: SecretStr | None = None) -> Endpoint:
    """An endpoint at a base URL. Raises BadSettings for a URL that is none, or that holds a password."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettings(f"{_safe(url)} is no address of an endpoint.", "It looks like https://HOST/v1.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise BadSettings(
            f"The address of {parts.hostname} holds more than host and path.",
            "Keys belong into the environment or the key field, never into an address.",
        )
    preset = next((p for p in PRESETS.values() if p.url.rstrip("/") == url.strip().rstrip("/")), None)
    known_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return Endpoint(
        name=name,
        url=url.strip().rstrip("/"),
        key=key or SecretStr(""),
        parallel=settings.caption_parallel or (preset.parallel if preset else PARALLEL),
        private_ok=settings.private_endpoints == "allow",
        leaves=not known_here,
    )


def endpoints_of(settings: Settings) -> dict[str, Endpoint]:
    """The endpoints in use, by name: BASE_URL first, then `endpoints` in order; empty: nothing leaves."""
    found: dict[str, Endpoint] = {}
    if settings.base_url:
        preset = next(
            (p for p in PRESETS.values() if p.url.rstrip("/") == settings.base_url.strip().rstrip("/")), None
        )
        name = preset.name if preset else "base"
        # The service's own key where the address is a known one; else the one key that goes with BASE_URL.
        key = _key_of(name, preset.key_name if preset else "", settings)
        if not key.get_secret_value() and name not in settings.endpoint_keys:
            key = settings.modelscope_token
        found[name] = endpoint(name, settings.base_url, settings, key)
    for entry in settings.endpoints:
        name, equals, url = entry.partition("=")
        name = name.strip()
        if not re.fullmatch(r"[A-Za-z][\w-]{0,40}", name):
            raise BadSettings(f"{_safe(entry)} is no endpoint.", f"Use NAME=URL, or {', '.join(PRESETS)}.")
        preset = PRESETS.get(name.lower())
        if not equals and preset is None:
            raise BadSettings(f"There is no endpoint {name}.", f"Use NAME=URL, or {', '.join(PRESETS)}.")
        key_name = preset.key_name if preset and not equals else f"{name.upper().replace('-', '_')}_API_KEY"
        key = _key_of(name, key_name, settings)
        found[name] = endpoint(name, url if equals else preset.url if preset else "", settings, key)
    return found


def models_of(settings: Settings, names: str) -> list[Model]:
    """The priority list: `names` with commas between, then FALLBACK_MODEL; empty without an endpoint.

    A name is MODEL or MODEL@ENDPOINT; without one it is asked at the first endpoint. With no name at
    all the first endpoint's preset says. Raises BadSettings.
    """
    endpoints = endpoints_of(settings)
    if not endpoints:
        return []
    wanted = [name.strip() for name in f"{names},{settings.fallback_model}".split(",") if name.strip()]
    first = next(iter(endpoints.values()))
    if not wanted:
        preset = PRESETS.get(first.name)
        if preset is None:
            raise BadSettings(
                f"No model is named for {first.host}.", "Set TAG_MODEL; `endpoints --test` lists its models."
            )
        wanted = [preset.model]
    limits = {entry.split()[0]: entry.split()[1:] for entry in settings.model_limits if entry.split()}
    models = []
    for name in dict.fromkeys(wanted):
        plain, at, place = name.rpartition("@")
        if at and plain and place in endpoints:
            models.append(_model(plain, endpoints[place], limits.get(name) or limits.get(plain) or []))
        else:
            models.append(_model(name, first, limits.get(name) or []))
    return models


def hosts(models: Sequence[Model]) -> list[str]:
    """Where pictures would go, in the order in which they would be asked."""
    return list(dict.fromkeys(model.endpoint.host for model in models))


def _model(name: str, at: Endpoint, limits: Sequence[str]) -> Model:
    values: dict[str, float] = {}
    for entry in limits:
        key, _, value = entry.partition("=")
        if key not in ("rpm", "rpd", "parallel", "in", "out") or not re.fullmatch(r"\d+(\.\d+)?", value):
            raise BadSettings(
                f"model_limits: {entry} is no limit of {name}.", "As in: rpm=30 rpd=500 parallel=4 in=0.2."
            )
        values[key] = float(value)
    whole = {key: int(values[key]) if key in values else None for key in ("rpm", "rpd", "parallel")}
    free = 0.0 if not at.leaves else None
    return Model(
        name,
        at,
        whole["rpm"],
        whole["rpd"],
        whole["parallel"],
        values.get("in", free),
        values.get("out", free),
    )


def _key_of(name: str, variable: str, settings: Settings) -> SecretStr:
    """The session's key for the endpoint, an empty one too; else the environment's under its own name."""
    known = settings.endpoint_keys.get(name)
    if known is not None:
        return known
    if variable == "MODELSCOPE_TOKEN":
        return settings.modelscope_token
    return SecretStr(os.environ.get(variable, "") if variable else "")


def _safe(url: str) -> str:
    """A URL without what may be a password."""
    return re.sub(r"//[^/@]*@", "//", url)[:120]
