"""One question to one endpoint through the openai SDK: a reply, or a trouble that says what to do.

openai and httpx2 are imported on first use: without an endpoint they are never loaded.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from lora_builder.caption.endpoints import Endpoint
from lora_builder.caption.records import Outcome

if TYPE_CHECKING:
    import openai

LONG_WAIT_S = 120.0
"""A Retry-After from here on means a used-up quota, not a busy moment."""

NO_KEY = "none"
"""Sent to servers that need no key; the protocol wants something."""

_QUOTA = re.compile(
    r"insufficient_quota|\bquota\b|per[ -]day|daily|billing|balance|credits?\b|payment"
    r"|额度|余额|每日|每天|配额|欠费",
    re.IGNORECASE,
)
_BLOCKED = re.compile(
    r"content[_ ](?:policy|filter)|moderation|safety|inappropriate|敏感|违规", re.IGNORECASE
)
_BLIND = re.compile(
    r"(?:does not|doesn't|not) support\w*[^.]{0,30}(?:image|vision|multimodal)"
    r"|(?:image|vision|multimodal)[^.]{0,40}not support",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"\b(?:sk|ms|pk|rk|hf|gsk)[-_][A-Za-z0-9_\-]{8,}"
    r"|(?i:bearer)\s+[^\s\"',}]+|(?i:api[_-]?key)[\"'=: ]+[^\s\"',}]+"
)

Scope = Literal["picture", "model", "endpoint"]


@dataclass(frozen=True)
class Ask:
    """One question. `picture`: a JPEG. `follow_up`: (role, text) pairs after the first exchange."""

    system: str
    user: str
    picture: bytes
    schema: Mapping[str, Any] | None
    max_tokens: int
    temperature: float
    follow_up: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reply:
    """What came back; `finish` as the server says it."""

    text: str
    finish: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


class Trouble(Exception):
    """A question that was not answered.

    `again`: worth another try at the same model; `wait_s`: not sooner than this. `scope`: how much of
    the rest it concerns. `until`: seconds since the epoch until which the server wants no more.
    `adapt`: the request is to be sent again without what the server does not know; costs no try.
    """

    def __init__(
        self,
        outcome: Outcome,
        detail: str,
        *,
        again: bool = False,
        scope: Scope = "picture",
        wait_s: float | None = None,
        until: float | None = None,
        adapt: bool = False,
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.again = again
        self.scope: Scope = scope
        self.wait_s = wait_s
        self.until = until
        self.adapt = adapt


@dataclass
class _Quirks:
    """What a model's server does not know; learnt from its own words."""

    no_schema: bool = False
    completion_tokens: bool = False
    no_temperature: bool = False


@dataclass
class Client:
    """An endpoint's client; may be used by many threads. Close it after use."""

    endpoint: Endpoint
    timeout_s: float = 120.0
    clock: Callable[[], float] = time.time
    _quirks: dict[str, _Quirks] = field(default_factory=dict)
    _sdk: openai.OpenAI | None = None

    def __post_init__(self) -> None:
        import openai

        from lora_builder.caption.network import http_client

        # At debug level these libraries print headers, and with them the key.
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        omit: Any = openai.Omit()
        self._sdk = openai.OpenAI(
            api_key=self.endpoint.key.get_secret_value() or NO_KEY,
            base_url=self.endpoint.url,
            http_client=http_client(self.endpoint.private_ok),
            max_retries=0,
            # Read by the SDK from OPENAI_ORG_ID and OPENAI_PROJECT_ID, and nobody else's business.
            default_headers={"OpenAI-Organization": omit, "OpenAI-Project": omit},
        )

    def close(self) -> None:
        """Lets go of the connections."""
        if self._sdk is not None:
            self._sdk.close()

    def ask(self, model: str, ask: Ask, cancelled: Callable[[], bool] = lambda: False) -> Reply:
        """The model's reply. Raises Trouble, and CallCancelled soon after `cancelled()` turns true."""
        quirks = self._quirks.setdefault(model, _Quirks())
        arguments: dict[str, Any] = {"model": model, "messages": _messages(ask)}
        if quirks.completion_tokens:
            arguments["max_completion_tokens"] = ask.max_tokens
        else:
            arguments["max_tokens"] = ask.max_tokens
        if not quirks.no_temperature:
            arguments["temperature"] = ask.temperature
        if ask.schema is not None and not quirks.no_schema:
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "caption", "strict": True, "schema": dict(ask.schema)},
            }
        import httpx2

        sdk = self._sdk
        assert sdk is not None

        def send() -> str:
            # Not `chat.completions.create`: walking its typed unions takes half of a request's CPU time,
            # and it takes any JSON, even none, for an answer. `_Completion` is the check.
            return sdk.post("/chat/completions", cast_to=httpx2.Response, body=arguments).text

        return self._reply(self._sent(send, cancelled, quirks))

    def models(self, cancelled: Callable[[], bool] = lambda: False) -> list[str]:
        """The models that the server offers, by name. Raises Trouble."""
        sdk = self._sdk
        assert sdk is not None

        def send() -> str:
            return sdk.models.with_raw_response.list().http_response.text

        body = _json(self._sent(send, cancelled, _Quirks()))
        entries = body.get("data") if isinstance(body, dict) else None
        if not isinstance(entries, list):
            raise Trouble(Outcome.PROTOCOL, "The server's list of models cannot be read.", scope="endpoint")
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
        return sorted(name for name in names if isinstance(name, str))

    def redact(self, text: str) -> str:
        """A server's words without the key, in one short line."""
        key = self.endpoint.key.get_secret_value()
        for form in (key, quote(key, safe=""), base64.b64encode(key.encode()).decode()) if key else ():
            text = text.replace(form, "[key]")
        text = _SECRET.sub("[key]", text)
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]

    def _sent(self, send: Callable[[], str], cancelled: Callable[[], bool], quirks: _Quirks) -> str:
        """The body of the answer, with every failure turned into a Trouble that holds no key."""
        import openai

        from lora_builder.caption import network

        try:
            with network.calling(self.timeout_s, cancelled):
                return send()
        except openai.APIStatusError as error:
            trouble = self._of_status(
                error.response.status_code, error.response.headers, _body(error), quirks
            )
        except openai.APITimeoutError:
            trouble = Trouble(Outcome.TIMEOUT, f"No answer within {self.timeout_s:g} s.", again=True)
        except (openai.APIConnectionError, network.CallStopped) as error:
            trouble = self._of_connection(error)
        except UnicodeEncodeError:
            trouble = Trouble(
                Outcome.FORBIDDEN, "The key holds characters that no key has.", scope="endpoint"
            )
        # Outside of the handlers: neither the request nor its headers hang on the exception.
        raise trouble

    def _of_connection(self, error: BaseException) -> Trouble:
        from lora_builder.caption import network

        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, network.CallCancelled):
                return Trouble(Outcome.CANCELLED, "Stopped.")
            if isinstance(cause, network.AddressRefused):
                return Trouble(Outcome.FORBIDDEN, str(cause), scope="endpoint")
            if isinstance(cause, (network.AnswerTooLarge, network.AnswerCompressed)):
                return Trouble(Outcome.PROTOCOL, str(cause), again=True)
            innermost, cause = cause, cause.__cause__ or cause.__context__
        detail = f"No connection to {self.endpoint.host}: {self.redact(str(innermost)) or 'cut off'}"
        return Trouble(Outcome.CONNECTION, detail, again=True)

    def _of_status(
        self, status: int, headers: Mapping[str, str], body: str, quirks: _Quirks | None = None
    ) -> Trouble:
        """What an HTTP status means for this request and the next ones."""
        said = self.redact(_message(body)) or f"HTTP {status}"
        detail = f"{self.endpoint.host} says: {said} ({status})"
        if 300 <= status < 400:
            to = urlsplit(headers.get("location", "")).hostname or "elsewhere"
            return Trouble(
                Outcome.FORBIDDEN,
                f"{self.endpoint.host} sends us on to {self.redact(to)}; nothing was sent there.",
                scope="endpoint",
            )
        wait_s = _retry_after(headers, self.clock)
        if status == 402 or (
            status in (403, 429) and _QUOTA.search(body) and not (wait_s and wait_s < LONG_WAIT_S)
        ):
            return Trouble(Outcome.QUOTA, detail, scope="model", until=wait_s and self.clock() + wait_s)
        if status == 429:
            if wait_s is not None and wait_s >= LONG_WAIT_S:
                return Trouble(Outcome.QUOTA, detail, scope="model", until=self.clock() + wait_s)
            return Trouble(Outcome.RATE_LIMITED, detail, again=True, wait_s=wait_s)
        if status in (408, 409, 425) or status >= 500:
            return Trouble(Outcome.SERVER_ERROR, detail, again=True, wait_s=wait_s)
        if status in (401, 403):
            return Trouble(Outcome.FORBIDDEN, detail, scope="endpoint")
        if status in (404, 405):
            return Trouble(Outcome.FORBIDDEN, detail, scope="model")
        if quirks is not None and _learn(quirks, body):
            return Trouble(Outcome.REFUSED, detail, adapt=True)
        if _BLIND.search(body):
            return Trouble(Outcome.FORBIDDEN, detail, scope="model")
        return Trouble(Outcome.REFUSED, detail)

    def _reply(self, text: str) -> Reply:
        body = _json(text)
        if isinstance(body, dict) and body.get("error") and not body.get("choices"):
            # Some services wrap an upstream's failure in a 200.
            error = body["error"]
            code = error.get("code") if isinstance(error, dict) else None
            raise self._of_status(code if isinstance(code, int) and 400 <= code < 600 else 502, {}, text)
        try:
            answer = _Completion.model_validate(body)
        except ValidationError:
            raise Trouble(Outcome.PROTOCOL, "The answer does not follow the protocol.", again=True) from None
        choice = answer.choices[0]
        said, finish = choice.message.words(), choice.finish_reason or "stop"
        if not said and choice.message.refusal:
            said, finish = choice.message.refusal, "content_filter"
        usage = answer.usage or _Usage()
        return Reply(said, finish, usage.prompt_tokens, usage.completion_tokens, usage.cost)


class _Message(BaseModel):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def words(self) -> str:
        """The text; a thought without an answer is marked as one."""
        if isinstance(self.content, list):
            text = "".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")
        else:
            text = self.content or ""
        thought = self.reasoning_content or self.reasoning
        return f"<think>{thought}</think>" if thought and not text.strip() else text


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None

    def model_post_init(self, _: object) -> None:
        if not self.choices:
            raise ValueError("no choices")


def _messages(ask: Ask) -> list[dict[str, Any]]:
    data = base64.b64encode(ask.picture).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
    messages: list[dict[str, Any]] = [{"role": "system", "content": ask.system}] if ask.system else []
    messages.append({"role": "user", "content": [{"type": "text", "text": ask.user}, picture]})
    return messages + [{"role": role, "content": text} for role, text in ask.follow_up]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Trouble(Outcome.PROTOCOL, "The answer is no JSON.", again=True) from None


def _body(error: openai.APIStatusError) -> str:
    body = error.body
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)


def _message(body: str) -> str:
    """The server's own sentence in an error body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return re.sub(r"<[^>]*>", " ", body)
    for _ in range(3):
        if isinstance(value, dict):
            value = value.get("message") or value.get("error") or value.get("detail") or ""
    return value if isinstance(value, str) else ""


def _learn(quirks: _Quirks, body: str) -> bool:
    """Whether a 400 names something that can be left away, which then is."""
    if not quirks.completion_tokens and "max_completion_tokens" in body:
        quirks.completion_tokens = True
    elif not quirks.no_temperature and re.search(r"temperature", body, re.IGNORECASE):
        quirks.no_temperature = True
    elif not quirks.no_schema and re.search(
        r"response_format|json_schema|structured|grammar|guided|additionalProperties|\bschema\b", body, re.I
    ):
        quirks.no_schema = True
    else:
        return False
    return True


def _retry_after(headers: Mapping[str, str], clock: Callable[[], float]) -> float | None:
    """Seconds to wait, of `Retry-After` in either form."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", said):
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - clock()) if said else None
    except (ValueError, TypeError):
        return None
