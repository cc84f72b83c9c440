"""Editing many captions at once: a list of captions and an operation give a list of changes.

Pure, so that the app shows every change before it is made. Patterns run on RE2, whose time grows with
the text alone: no pattern of a user's can hang the app. What would leave a caption empty is not done.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import re2

from lora_builder.caption.audit import BINDS, MAY_BIND, term_shares
from lora_builder.errors import BadInput

LONGEST_PATTERN = 500
"""Characters of a pattern; RE2's time also grows with it."""

LONGEST_CAPTION = 4000
"""Characters that a caption may grow to by an operation."""

PATTERN_MEMORY = 1 << 20
"""Bytes that RE2 may use for a compiled pattern; a greedier one is refused."""

DEADLINE_S = 3.0
"""Longest time for one operation over all captions."""

_SPACED = re.compile(r"\s+([,.;:，。；：、])")
_DOUBLED = re.compile(r"([,，;；、])(?:\s*[,，;；、])+")
_LOOSE_ENDS = re.compile(r"^[\s,，;；、.。]+|[\s,，;；、]+$")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]")

_SMALL_WORDS = frozenset(
    "a an the and or of in on at to with by from for is are her his their its as into over under".split()
)


@dataclass(frozen=True)
class Text:
    """One caption to edit. `item`: see `caption.records`. Locked ones are left alone."""

    item: str
    text: str
    locked: bool = False


@dataclass(frozen=True)
class Replace:
    """Puts `put` where `find` stands; `pattern`: both in RE2's syntax, `\\1` for a group.

    `whole`: only whole words. `case`: capitals count.
    """

    find: str
    put: str
    pattern: bool = False
    whole: bool = False
    case: bool = False


@dataclass(frozen=True)
class Prepend:
    """Puts the words in front, unless they stand there already."""

    words: str


@dataclass(frozen=True)
class Append:
    """Puts the words at the end, before a full stop, unless they stand there already."""

    words: str


@dataclass(frozen=True)
class Remove:
    """Takes the words out, as whole words whatever their capitals, and the comma they leave."""

    words: str


@dataclass(frozen=True)
class Call:
    """Puts trigger and class word first, once, in place of the ones used before.

    `former`: a trigger that the captions may still carry; with an empty `trigger` it is only taken
    out. `tags`: the captions are lists, so a comma follows.
    """

    trigger: str
    class_word: str = ""
    former: str = ""
    tags: bool = False


Operation: TypeAlias = "Replace | Prepend | Append | Remove | Call"


@dataclass(frozen=True)
class Change:
    """What one caption becomes."""

    item: str
    before: str
    after: str


@dataclass(frozen=True)
class Preview:
    """What an operation would do. `locked`: left alone. `emptied`: nothing would be left of them."""

    changes: tuple[Change, ...] = ()
    locked: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """How many captions say a word or a clause; `share` of all, 0..1, and whether it will bind."""

    term: str
    count: int
    share: float
    binding: str = field(default="")


def preview(texts: Iterable[Text], operation: Operation, deadline_s: float = DEADLINE_S) -> Preview:
    """The changes that the operation makes, in the order of the captions.

    Raises BadInput for a pattern that is not one, and where the deadline passes.
    """
    edit = _edit_of(operation)
    end = time.monotonic() + deadline_s
    changes, locked, emptied = [], [], []
    for text in texts:
        if time.monotonic() > end:
            raise BadInput("This takes too long.", "Use a simpler pattern, or fewer captions at a time.")
        after = one_line(edit(text.text))
        if after == text.text:
            continue
        if text.locked:
            locked.append(text.item)
        elif not after:
            emptied.append(text.item)
        elif len(after) > LONGEST_CAPTION:
            raise BadInput("A caption would become too long.", f"The limit is {LONGEST_CAPTION} characters.")
        else:
            changes.append(Change(text.item, text.text, after))
    return Preview(tuple(changes), tuple(locked), tuple(emptied))


def one_line(text: str) -> str:
    """One line of printable characters: what every trainer can read."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def frequencies(texts: Sequence[str], trigger: str = "", class_word: str = "", most: int = 200) -> list[Term]:
    """The words and clauses of the captions, most frequent first, small words and names left out.

    `binding` is `binds` from `audit.BINDS` on, `may_bind` from `audit.MAY_BIND` on, else empty.
    """
    names = {word.lower() for name in (trigger, class_word) for word in name.split()}
    counts: Counter[str] = Counter()
    for text in texts:
        words = {word.lower() for word in _WORD.findall(text) if not _CJK.search(word)}
        counts.update(words - names - _SMALL_WORDS)
    clauses = term_shares(texts, trigger, class_word)
    # A clause of one word is counted as that word; one that a single caption says is no pattern.
    counts.update({clause: n for clause, n in clauses.items() if clause not in counts and n > 1})
    total = max(1, len(texts))
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:most]
    return [Term(term, count, count / total, _binding(count / total)) for term, count in ranked]


def _binding(share: float) -> str:
    return "binds" if share >= BINDS else "may_bind" if share >= MAY_BIND else ""


def _edit_of(operation: Operation) -> Callable[[str], str]:
    if isinstance(operation, Replace):
        return _replacing(operation)
    if isinstance(operation, Prepend):
        return lambda text: _in_front(one_line(operation.words), text)
    if isinstance(operation, Append):
        return lambda text: _at_the_end(one_line(operation.words), text)
    if isinstance(operation, Remove):
        phrase = one_line(operation.words)
        return (lambda text: tidy(_without(phrase, text))) if phrase else (lambda text: text)
    return lambda text: _called(operation, text)


def _replacing(operation: Replace) -> Callable[[str], str]:
    """Plain text is a pattern without meaning: one engine, one set of rules."""
    if not operation.find:
        return lambda text: text
    if len(operation.find) > LONGEST_PATTERN:
        raise BadInput("The pattern is too long.", f"The limit is {LONGEST_PATTERN} characters.")
    options = re2.Options()
    options.max_mem, options.log_errors, options.case_sensitive = PATTERN_MEMORY, False, operation.case
    source = operation.find if operation.pattern else re2.escape(operation.find)
    if operation.whole:
        source = rf"\b(?:{source})\b"
    try:
        pattern = re2.compile(source, options)
        if not operation.pattern:
            return lambda text: str(pattern.sub(lambda match: operation.put, text))
        # Once now, so that a replacement that names no group is told before anything is changed.
        pattern.sub(operation.put, "")
        re.compile(f"(?:){'()' * pattern.groups}").sub(_numbered(operation.put, pattern.groupindex), "")
    except (re2.error, re.error, IndexError) as error:
        raise BadInput(f"The pattern cannot be used: {_reason(error)}.", "Correct it.") from error
    return lambda text: str(pattern.sub(operation.put, text))


def _numbered(put: str, groups: dict[str, int]) -> str:
    """The replacement with its named groups as numbers, for a check of the numbers alone."""
    for name, number in groups.items():
        put = put.replace(rf"\g<{name}>", rf"\g<{number}>")
    return put


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _in_front(words: str, text: str) -> str:
    if not words or text.lower().startswith(words.lower()):
        return text
    return f"{words}{'' if _closes(words) or not text else ','} {text}"


def _at_the_end(words: str, text: str) -> str:
    words = words.rstrip(" .。")
    stop = text[-1:] if text[-1:] in tuple(".。") else ""
    body = text[: len(text) - len(stop)].rstrip()
    if not words or body.lower().endswith(words.lower()):
        return text
    return f"{body}{'' if _closes(body) or not body else ','} {words}{stop}"


def _closes(text: str) -> bool:
    return text[-1:] in ",.;:，。；：、!?"


def _without(phrase: str, text: str) -> str:
    edge = rf"(?<!\w){re.escape(phrase)}(?!\w)" if not _CJK.search(phrase) else re.escape(phrase)
    return re.sub(edge, "", text, flags=re.IGNORECASE)


def tidy(text: str) -> str:
    """The text without the spaces and commas that a removal leaves."""
    text = _SPACED.sub(r"\1", " ".join(text.split()))
    return _LOOSE_ENDS.sub("", _DOUBLED.sub(r"\1", text))


def _called(operation: Call, text: str) -> str:
    trigger, class_word = one_line(operation.trigger), one_line(operation.class_word)
    body = text
    for name in sorted({trigger, one_line(operation.former)} - {""}):
        body = _without(name, body)
    if not trigger:
        return tidy(body)
    body = re.sub(r"^[\s,，]*(?:an?|the)\s+", "", body, flags=re.IGNORECASE)
    if class_word:
        body = re.sub(rf"^[\s,，]*{re.escape(class_word)}(?!\w)", "", body, flags=re.IGNORECASE)
    comma = "," if operation.tags or body.lstrip()[:1] in tuple(",，") else ""
    who = f"{trigger} {class_word}".strip()
    body = tidy(body)
    return f"{who}{comma} {body}" if body.strip(".。") else who
