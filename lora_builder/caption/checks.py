"""Whether a vision model's answer is a caption: refusals, thoughts, echoes and garbage are caught here.

`judge` takes an answer as it came and gives either something to caption with or the faults that forbid
it. What only dresses a good answer (code fences, quotes, "Here is the caption:", a closed thought) is
taken off in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lora_builder.caption import wording
from lora_builder.caption.policy import Language, Policy
from lora_builder.caption.structured import Fields, parse, read_json, tongues
from lora_builder.caption.terms import leaks
from lora_builder.caption.tokens import count

MAX_WORDS = 90
"""Words from which no policy's caption could come: the model told a story."""

FEWEST_WORDS = 5
"""Words of a text answer below which it says too little to be a caption."""

FEWEST_CHARACTERS = 8
"""The same in Chinese characters."""

FEWEST_FIELDS = 2
"""Fields of a structured answer that must say something."""

ECHOED = 0.5
"""Share of an answer's runs of five words that stand in the prompt from which it is an echo."""

REPEATS = 4
"""Times that a phrase comes in a row from which the model is stuck."""

CJK = re.compile(r"[㐀-鿿]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class Fault(str, Enum):
    """Why an answer is no caption."""

    EMPTY = "empty"
    REFUSAL = "refusal"
    CUT_OFF = "cut_off"
    THINKING = "thinking"
    ECHO = "echo"
    MARKDOWN = "markdown"
    SEVERAL_LINES = "several_lines"
    LANGUAGE = "language"
    REPEATED = "repeated"
    GARBAGE = "garbage"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    LEAK = "leak"


SENTENCES: dict[Fault, tuple[str, str]] = {
    Fault.EMPTY: ("The answer is empty.", "回答是空的。"),
    Fault.REFUSAL: ("The model refused.", "模型拒绝了。"),
    Fault.CUT_OFF: ("The answer is cut off.", "回答被截断了。"),
    Fault.THINKING: ("The answer is the model's thinking, not a caption.", "回答是模型的思考过程。"),
    Fault.ECHO: ("The answer repeats the question.", "回答重复了提示词。"),
    Fault.MARKDOWN: ("The answer is formatted with markdown.", "回答带有 Markdown 格式。"),
    Fault.SEVERAL_LINES: ("The answer has several lines.", "回答有多行。"),
    Fault.LANGUAGE: ("The answer is in the wrong language.", "回答的语言不对。"),
    Fault.REPEATED: ("The answer repeats itself.", "回答不断重复。"),
    Fault.GARBAGE: ("The answer is no description.", "回答不是描述。"),
    Fault.TOO_SHORT: ("The answer says too little.", "回答太短。"),
    Fault.TOO_LONG: ("The answer is too long.", "回答太长。"),
    Fault.LEAK: (
        "The answer describes what the trigger word should learn.",
        "回答描述了应由触发词学习的特征。",
    ),
}
"""For people: English, Chinese."""


@dataclass(frozen=True)
class Found:
    """A fault and, where there is one, the phrase that shows it."""

    fault: Fault
    phrase: str = ""

    def __str__(self) -> str:
        sentence = SENTENCES[self.fault][0]
        return f"{sentence[:-1]}: {self.phrase[:80]}." if self.phrase else sentence


@dataclass(frozen=True)
class Judgement:
    """What an answer holds: fields, or a text, or neither and the faults that say why."""

    fields: Fields | None = None
    text: str = ""
    faults: tuple[Found, ...] = ()

    @property
    def good(self) -> bool:
        return not self.faults


def judge(answer: str, finish: str, language: Language, prompt: str = "") -> Judgement:
    """What can be captioned of an answer. `finish`: the server's reason for its end, as in `length`.

    `prompt`: what was asked, to know its echo.
    """
    text = answer.strip()
    if finish == "content_filter":
        return _bad(Fault.REFUSAL, "content filter")
    text, thought = _without_thinking(text)
    text = _undressed(text)
    if wording.NOTHING.fullmatch(text):
        return _bad(Fault.THINKING if thought else Fault.CUT_OFF if finish == "length" else Fault.EMPTY)
    if thought == "open":
        return _bad(Fault.THINKING)
    value = read_json(text)
    if value is None and (finish == "length" or _broken_json(text)):
        if wording.THINKING.search(text) or wording.THINKING_ZH.search(text):
            return _bad(Fault.THINKING)
        # A structure that opens and never closes was cut; one that closes and cannot be read is garbage.
        open_end = finish == "length" or text.count("{") > text.count("}")
        fault = Fault.CUT_OFF if open_end else Fault.GARBAGE
        return _bad(Fault.REPEATED if _repeated(text) else fault)
    parsed = parse(text, language)
    if isinstance(parsed, Fields):
        return _judge_fields(parsed, value, language)
    if isinstance(parsed, str):
        text = _undressed(parsed)
        value = None
    if value is not None:
        return _judge_other_json(value)
    return _judge_text(text, language, prompt)


def faults_of_caption(text: str, policy: Policy, allowed: Iterable[str] = ()) -> list[Found]:
    """What is wrong with a finished caption under the policy: leaks and length."""
    found = [
        Found(Fault.LEAK, leak.phrase) for leak in leaks(text, policy.leave_out, tuple(filter(None, allowed)))
    ]
    tokens = count(text, policy.encoder)
    if tokens.tokens > policy.max_tokens:
        found.append(Found(Fault.TOO_LONG, f"{tokens.tokens} tokens, {policy.max_tokens} are read"))
    return found


def _bad(fault: Fault, phrase: str = "") -> Judgement:
    return Judgement(faults=(Found(fault, phrase),))


def _without_thinking(text: str) -> tuple[str, str]:
    """The text without closed thoughts, and `closed`, `open` or nothing for what was found."""
    rest = wording.THINK_CLOSED.sub(" ", text)
    rest = wording.THINK_END.sub(" ", rest).strip()
    if wording.THINK_OPEN.search(rest):
        return rest, "open"
    return rest, "closed" if rest != text else ""


def _undressed(text: str) -> str:
    """Without code fences, a preface, and quotes or stars around the whole."""
    fence = re.search(r"```[\w-]*[ \t]*\n?(.*?)(?:```|$)", text, re.DOTALL)
    if fence:
        text = fence.group(1).strip()
    for preface in (wording.PREFACE, wording.PREFACE_ZH):
        stripped = preface.sub("", text, count=1).strip()
        # A preface leads to something; a lone "caption: ..." inside JSON stays where it is.
        if stripped and not text.startswith("{"):
            text = stripped
    pairs = (("**", "**"), ('"', '"'), ("“", "”"), ("'", "'"), ("*", "*"), ("`", "`"))
    for left, right in pairs:
        inside = text[len(left) : -len(right)]
        if len(text) > 4 and text.startswith(left) and text.endswith(right) and left not in inside:
            text = inside.strip()
    return text


def _broken_json(text: str) -> bool:
    return text.startswith(("{", "[{")) and len(text) > 1


def _judge_fields(fields: Fields, value: Any, language: Language) -> Judgement:
    texts = [text for tongue in tongues(language) for text in fields.of(tongue).values()]
    if isinstance(value, dict):
        texts += [entry for entry in value.values() if isinstance(entry, str)]
    if isinstance(value, dict) and "properties" in value:
        return _bad(Fault.ECHO)
    for text in texts:
        if _refuses(text):
            return _bad(Fault.REFUSAL, text)
        unquoted = wording.QUOTED.sub(" ", text)
        if wording.DIALOGUE.search(unquoted) or wording.BLOCKED.search(unquoted):
            return _bad(Fault.REFUSAL, text)
        if wording.MACHINE.search(text) or wording.OBEYS.search(text):
            return _bad(Fault.GARBAGE, text)
    for tongue in tongues(language):
        values = list(fields.of(tongue).values())
        if not values:
            return _bad(Fault.EMPTY)
        named = fields.of(tongue).items()
        if sum(wording.is_placeholder(name, text) for name, text in named) * 2 >= len(values):
            return _bad(Fault.ECHO)
        if len(values) < FEWEST_FIELDS:
            return _bad(Fault.TOO_SHORT)
        joined = ", ".join(values)
        if _wrong_language(joined, tongue):
            return _bad(Fault.LANGUAGE)
        if _words(joined) > MAX_WORDS:
            return _bad(Fault.TOO_LONG)
        if _repeated(joined) or max(Counter(values).values()) >= REPEATS - 1:
            return _bad(Fault.REPEATED)
    return Judgement(fields=fields)


def _judge_other_json(value: Mapping[str, Any]) -> Judgement:
    """An object with none of our fields."""
    if "properties" in value or "$schema" in value:
        return _bad(Fault.ECHO)
    texts = [str(entry) for entry in value.values()]
    if any(_refuses(text) for text in texts):
        return _bad(Fault.REFUSAL, texts[0])
    return _bad(Fault.EMPTY if not "".join(texts).strip() else Fault.GARBAGE)


def _judge_text(text: str, language: Language, prompt: str) -> Judgement:
    if _refuses(text):
        return _bad(Fault.REFUSAL, text)
    if wording.MACHINE.search(text):
        return _bad(Fault.GARBAGE, text)
    unquoted = wording.QUOTED.sub(" ", text)
    if wording.THINKING.search(unquoted) or wording.THINKING_ZH.search(unquoted):
        return _bad(Fault.THINKING)
    if wording.ECHO.search(unquoted) or _echoes(text, prompt):
        return _bad(Fault.ECHO)
    if wording.DIALOGUE.search(unquoted) or wording.BLOCKED.search(unquoted):
        return _bad(Fault.REFUSAL, text)
    if _repeated(text):
        return _bad(Fault.REPEATED)
    if re.search(r"^\s*(?:#{1,6}\s|\||>\s)|^\s*(?:[-*•]|\d+[.)])\s+.*\n\s*(?:[-*•]|\d+[.)])\s", text, re.M):
        return _bad(Fault.MARKDOWN)
    if len([line for line in text.splitlines() if line.strip()]) > 1:
        return _bad(Fault.SEVERAL_LINES)
    tongue = tongues(language)[0]
    letters = sum(character.isalpha() for character in text)
    if letters < 0.5 * len(text.replace(" ", "")):
        return _bad(Fault.GARBAGE, text)
    if _wrong_language(text, tongue):
        return _bad(Fault.LANGUAGE)
    words = _words(text)
    if words > MAX_WORDS:
        return _bad(Fault.TOO_LONG)
    if words < (FEWEST_CHARACTERS if tongue == "zh" else FEWEST_WORDS):
        return _bad(Fault.TOO_SHORT, text)
    if not wording.PICTURE.search(text) or wording.OBEYS.search(text):
        # Whatever it is, it does not speak of a person's picture.
        return _bad(Fault.GARBAGE, text)
    if language == "both":
        # One sentence cannot be both; the fields can.
        return _bad(Fault.LANGUAGE)
    return Judgement(text=" ".join(text.replace("**", "").split()))


def _refuses(text: str) -> bool:
    """What stands in quotes stands in the picture, so it refuses nothing."""
    plain = wording.QUOTED.sub(" ", text.replace("’", "'")).strip()
    return bool(wording.REFUSAL.search(plain) or wording.REFUSAL_ZH.search(plain))


def _echoes(text: str, prompt: str) -> bool:
    words = _WORD.findall(text.lower())
    runs = [tuple(words[at : at + 5]) for at in range(len(words) - 4)]
    if not prompt or not runs:
        return False
    asked = _WORD.findall(prompt.lower())
    known = {tuple(asked[at : at + 5]) for at in range(len(asked) - 4)}
    return sum(run in known for run in runs) >= ECHOED * len(runs)


def _wrong_language(text: str, tongue: str) -> bool:
    plain = wording.QUOTED.sub(" ", text)
    letters = [character for character in plain if character.isalpha()]
    if not letters:
        return False
    if len(wording.OTHER_SCRIPT.findall(plain)) > 0.1 * len(letters):
        return True
    share = len(CJK.findall(plain)) / len(letters)
    if tongue == "zh":
        return share < 0.5
    if share > 0.2:
        return True
    words = [word.lower() for word in _WORD.findall(plain)]
    foreign = sum(word in wording.FOREIGN and word not in wording.ENGLISH for word in words)
    english = sum(word in wording.ENGLISH for word in words)
    return foreign >= 3 and foreign > english


def _words(text: str) -> int:
    """Words; a Chinese character counts as one."""
    return len(CJK.findall(text)) + len(_WORD.findall(CJK.sub(" ", text)))


def _repeated(text: str) -> bool:
    """Whether a phrase comes `REPEATS` times in a row, or most of the text is one phrase."""
    if re.search(r"(\S.{1,60}?)(?:[\s,，.。;；、]*\1){%d,}" % (REPEATS - 1), text, re.DOTALL):  # noqa: UP031
        return True
    clauses = [clause.strip().lower() for clause in re.split(r"[,，.。;；、\n]", text) if clause.strip()]
    top = max(Counter(clauses).values(), default=0)
    return top >= REPEATS and top * 2 > len(clauses)
