"""Answers in fields: the schema we ask for, tolerant reading, and rendering into prose or tags.

The trigger and the class word are put in by us, never by the model, so they cannot be lost or misspelt.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lora_builder.caption.policy import ORDER, Language, Style

Tongue = Literal["en", "zh"]

_CHINESE_NAMES = {
    "构图": "framing", "景别": "framing", "视角": "view", "角度": "view", "姿势": "pose", "姿态": "pose",
    "动作": "pose", "表情": "expression", "服装": "outfit", "穿着": "outfit", "地点": "place",
    "场景": "place", "背景": "place", "光线": "light", "光照": "light",
}  # fmt: skip

_OTHER_NAMES = {
    "shot": "framing", "angle": "view", "viewpoint": "view", "action": "pose", "clothing": "outfit",
    "clothes": "outfit", "location": "place", "setting": "place", "background": "place",
    "lighting": "light", "facial_expression": "expression",
}  # fmt: skip

_TEXT_KEYS = ("caption", "description", "text", "prompt", "描述")

_NOTHING = re.compile(
    r"(?:n/?a|none|null|nil|unknown|not (?:visible|applicable|specified|shown|clear)|unclear"
    r"|无|未知|不可见|没有|-|\.+)\.?",
    re.IGNORECASE,
)
"""What models write into a field that they have nothing to say about."""


@dataclass(frozen=True)
class Fields:
    """What a picture shows, by field, in each language that was asked for."""

    values: Mapping[Tongue, Mapping[str, str]]

    def of(self, tongue: Tongue) -> Mapping[str, str]:
        """The fields in one language; empty ones are not in it."""
        return self.values.get(tongue, {})


def tongues(language: Language) -> tuple[Tongue, ...]:
    """The languages to ask for."""
    return ("en", "zh") if language == "both" else (language,)


def schema(language: Language, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON schema of the answer; `extra` properties come on top (the focus box)."""
    one = {
        "type": "object",
        "properties": {name: {"type": "string", "maxLength": 300} for name in ORDER},
        "required": list(ORDER),
        "additionalProperties": False,
    }
    if language == "both":
        properties: dict[str, Any] = {"en": one, "zh": one}
    else:
        properties = dict(one["properties"])  # type: ignore[call-overload]
    properties |= dict(extra or {})
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_json(text: str) -> Any:
    """The first JSON object in the text, mended where models usually break it; None if there is none."""
    begin = text.find("{")
    if begin < 0:
        return None
    end = _closing(text, begin)
    if end is None:
        return None
    body = text[begin : end + 1]
    for attempt in (body, _mended(body)):
        try:
            value = json.loads(attempt, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    try:
        value = ast.literal_eval(body)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse(text: str, language: Language) -> Fields | str | None:
    """The fields of an answer, its text where it is `{"caption": ...}`, or None if it holds neither."""
    value = read_json(text)
    if value is None:
        value = _lines(text)
    if value is None:
        return None
    first = tongues(language)[0]
    nested = {tongue: value[tongue] for tongue in ("en", "zh") if isinstance(value.get(tongue), dict)}
    read: dict[Tongue, dict[str, str]] = {}
    for tongue in tongues(language):
        source = nested.get(tongue, value if tongue == first else {})
        fields = _fields(source)
        if fields:
            read[tongue] = fields
    if read:
        return Fields(read)
    for key in _TEXT_KEYS:
        if isinstance(value.get(key), str):
            return str(value[key])
    return Fields({}) if _known_names(value) else None


def render(fields: Fields, who: Sequence[str], style: Style, language: Language) -> str:
    """One line: who (trigger and class word), then the fields in order, in the wanted language or both."""
    parts = [
        _one(fields.of(tongue), who, style, tongue)
        for tongue in tongues(language)
        if fields.of(tongue) or tongue == tongues(language)[0]
    ]
    return " ".join(" ".join(parts).split())


def with_who(text: str, who: Sequence[str], style: Style, tongue: Tongue) -> str:
    """A text that a model wrote as a whole, with the trigger and the class word put in front."""
    names = [name for name in who if name]
    body = text.strip()
    for name in names:
        body = re.sub(rf"^{re.escape(name)}(?:\s*[,，:]\s*|\s+)", "", body, flags=re.IGNORECASE)
    if style == "tags":
        return ", ".join([*names, body.rstrip(".。")])
    first = body.partition(" ")[0]
    if first == "A" or (first[:1].isupper() and first[1:].islower()):
        body = body[0].lower() + body[1:]
    joined = " ".join(names)
    return f"{joined}，{body}" if tongue == "zh" else f"{joined}, {body}"


def _one(fields: Mapping[str, str], who: Sequence[str], style: Style, tongue: Tongue) -> str:
    names = [name for name in who if name]
    values = [fields[name] for name in ORDER if name in fields]
    if style == "tags":
        comma = re.compile(r"\s*[,，、;；]\s*")
        tags = [tag for value in values for tag in comma.split(value) if tag]
        return ", ".join(dict.fromkeys([*names, *(_tag(tag) for tag in tags)]))
    if tongue == "zh":
        return "，".join([" ".join(names), *values]) + "。"
    framing, rest = fields.get("framing"), [fields[n] for n in ORDER[1:] if n in fields]
    subject = " ".join(names)
    if framing:
        subject = f"{subject}, {_article(framing)}"
    return ", ".join([subject, *rest]) + "."


def _tag(value: str) -> str:
    """A phrase as a tag: no article, no `wearing`."""
    return re.sub(
        r"^(?:wearing|dressed in|in|with|on|at)?\s*(?:an?|the)\s+|^wearing\s+", "", value, flags=re.I
    )


def _article(framing: str) -> str:
    if re.match(
        r"(?:an?|the|in|from|seen|shown|full|close|head)\b", framing, re.IGNORECASE
    ) and not re.search(r"(?:shot|photo|portrait|view|close-up)$", framing):
        return framing
    if re.match(r"(?:an?|the|in|from|seen|shown)\s", framing, re.IGNORECASE):
        return framing
    return f"{'an' if framing[:1].lower() in 'aeiou' else 'a'} {framing}"


def _fields(value: Mapping[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, entry in value.items():
        name = _name(key)
        if name is None:
            continue
        if isinstance(entry, (list, tuple)):
            entry = ", ".join(str(part) for part in entry if isinstance(part, (str, int, float)))
        text = _phrase(entry) if isinstance(entry, str) else ""
        if text and name not in fields:
            fields[name] = text
    return {name: fields[name] for name in ORDER if name in fields}


def _phrase(text: str) -> str:
    text = " ".join(text.split()).strip(" \"'*`").rstrip(".。,，;；")
    if not text or _NOTHING.fullmatch(text):
        return ""
    return text[0].lower() + text[1:] if text[:1].isupper() and not text[1:2].isupper() else text


def _name(key: object) -> str | None:
    if not isinstance(key, str):
        return None
    plain = key.strip(" *_#-\"'").lower().replace(" ", "_")
    if plain in ORDER:
        return plain
    return _OTHER_NAMES.get(plain) or _CHINESE_NAMES.get(plain)


def _known_names(value: Mapping[str, Any]) -> bool:
    return any(_name(key) for key in value)


def _lines(text: str) -> dict[str, str] | None:
    """`Framing: bust shot` and the like, one field a line, at least three of them."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.replace("：", ":").partition(":")
        name = _name(re.sub(r"^[\s\-*\d.)]+", "", key)) if colon else None
        if name:
            found[name] = value.strip(" *")
    return found if len(found) >= 3 else None


def _closing(text: str, begin: int) -> int | None:
    """Where the object that opens at `begin` closes."""
    depth, quote, escaped = 0, "", False
    for position in range(begin, len(text)):
        character = text[position]
        if quote:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
        elif character == '"':
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
    return None


def _mended(body: str) -> str:
    body = body.replace("“", '"').replace("”", '"')
    return re.sub(r",\s*([}\]])", r"\1", body)
