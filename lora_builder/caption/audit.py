"""All captions of a set together: what would bind to the wrong word, and what to do about it.

`audit` lists findings, worst first, each with its photos and the cure that one click gives.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from lora_builder.caption.checks import CJK
from lora_builder.caption.crosscheck import Seen, contradictions
from lora_builder.caption.policy import Policy
from lora_builder.caption.records import CaptionEntry, CaptionState
from lora_builder.caption.terms import leaks
from lora_builder.caption.tokens import count, reads

BINDS, MAY_BIND = 0.85, 0.60
"""Share of the captions from which a term binds to the trigger, and from which it may."""

SAME = 0.3
"""Share of the set that one sentence fills from which the captions teach it."""

FEW = 5
"""Captions below which shares say nothing."""

POOR = 0.25
"""Different words over all words, over the set, below which captions are all of a kind."""


class Kind(str, Enum):
    """What a finding is about, worst first."""

    FAILED = "failed"
    CONTRADICTION = "contradiction"
    TRIGGER_MISSING = "trigger_missing"
    TRIGGER_MISSPELT = "trigger_misspelt"
    TRIGGER_NOT_FIRST = "trigger_not_first"
    TRIGGER_UNSEEN = "trigger_unseen"
    LEAK = "leak"
    SAME_SENTENCE = "same_sentence"
    BINDS = "binds"
    MAY_BIND = "may_bind"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    UNREADABLE_LANGUAGE = "unreadable_language"
    POOR_WORDS = "poor_words"


class Cure(str, Enum):
    """What one click does about a finding."""

    ADD_TRIGGER = "add_trigger"
    CORRECT_TRIGGER = "correct_trigger"
    MOVE_TRIGGER = "move_trigger"
    REMOVE_TRIGGER = "remove_trigger"
    REMOVE_TERM = "remove_term"
    REWRITE = "rewrite"
    NONE = "none"


@dataclass(frozen=True)
class Line:
    """One caption to audit. `recognisable`: the trigger belongs in it. `seen`: what was measured."""

    entry: CaptionEntry
    recognisable: bool = True
    seen: Seen | None = None


@dataclass(frozen=True)
class Finding:
    """One thing worth a look, with the items it is about.

    `term`: the words in question. `sentence`, `sentence_zh`: for people. `cure` rewrite means: have
    them captioned anew (`store.captions.forget` and a run); every other cure is `remedies.remedy`'s.
    """

    kind: Kind
    items: tuple[str, ...]
    sentence: str
    sentence_zh: str
    cure: Cure = Cure.NONE
    term: str = ""


def audit(lines: Sequence[Line], policy: Policy, trigger: str, class_word: str = "") -> list[Finding]:
    """What is wrong with the set, worst first."""
    written = [line for line in lines if line.entry.state is CaptionState.WRITTEN]
    found: list[Finding] = []
    for line in lines:
        if line.entry.state is CaptionState.FAILED:
            reason = line.entry.reason
            found.append(
                _one(line, Kind.FAILED, f"No caption: {reason}", f"没有描述：{reason}", Cure.REWRITE)
            )
    found += _contradicted(written)
    found += _trigger(written, trigger)
    found += _leaks(written, policy, (trigger, class_word))
    found += _same(written, trigger, class_word)
    found += _common(written, trigger, class_word)
    found += _lengths(written, policy)
    order = list(Kind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def review_order(lines: Iterable[Line], findings: Iterable[Finding]) -> list[str]:
    """The items, those with the worst findings first, the rest as they came."""
    order = {kind: position for position, kind in enumerate(Kind)}
    worst: dict[str, int] = {}
    for finding in findings:
        if len(finding.items) == 1 or finding.kind in (Kind.FAILED, Kind.CONTRADICTION, Kind.LEAK):
            for item in finding.items:
                worst[item] = min(worst.get(item, len(order)), order[finding.kind])
    items = [line.entry.item for line in lines]
    return sorted(items, key=lambda item: worst.get(item, len(order)))


def misspelt(text: str, trigger: str) -> str | None:
    """The word of the text that is nearly the trigger, if there is one and the trigger is not."""
    if not trigger or len(trigger) < 3 or has_word(text, trigger):
        return None
    near = 1 if len(trigger) < 7 else 2
    for word in re.findall(r"\w+", text):
        if word.lower() == trigger.lower():
            return str(word)
        if abs(len(word) - len(trigger)) <= near and _distance(word.lower(), trigger.lower()) <= near:
            return str(word)
    return None


def _one(line: Line, kind: Kind, sentence: str, chinese: str, cure: Cure, term: str = "") -> Finding:
    return Finding(kind, (line.entry.item,), sentence, chinese, cure, term)


def _contradicted(lines: Sequence[Line]) -> list[Finding]:
    found = []
    for line in lines:
        for against in contradictions(line.entry.text, line.seen) if line.seen else ():
            found.append(
                _one(
                    line,
                    Kind.CONTRADICTION,
                    f"The caption says “{against.said}”. {against.measured}",
                    f"描述写着“{against.said}”。{against.measured_zh}",
                    Cure.REMOVE_TERM,
                    against.said,
                )
            )
    return found


def _trigger(lines: Sequence[Line], trigger: str) -> list[Finding]:
    if not trigger:
        return []
    items: dict[Kind, list[str]] = defaultdict(list)
    found = []
    for line in lines:
        text = line.entry.text
        if not line.recognisable:
            if has_word(text, trigger):
                items[Kind.TRIGGER_UNSEEN].append(line.entry.item)
            continue
        wrong = misspelt(text, trigger)
        if wrong is not None:
            sentence = f"The trigger {trigger} is written {wrong}."
            found.append(
                _one(line, Kind.TRIGGER_MISSPELT, sentence, f"触发词 {trigger} 写成了 {wrong}。",
                     Cure.CORRECT_TRIGGER, wrong)
            )  # fmt: skip
        elif not has_word(text, trigger):
            items[Kind.TRIGGER_MISSING].append(line.entry.item)
        elif not text.startswith(trigger):
            items[Kind.TRIGGER_NOT_FIRST].append(line.entry.item)
    words = {
        Kind.TRIGGER_MISSING: (
            f"The trigger {trigger} is missing.", f"缺少触发词 {trigger}。", Cure.ADD_TRIGGER,
        ),
        Kind.TRIGGER_NOT_FIRST: (
            f"The trigger {trigger} does not come first.", f"触发词 {trigger} 不在开头。", Cure.MOVE_TRIGGER,
        ),
        Kind.TRIGGER_UNSEEN: (
            "The person cannot be recognised here, and yet the trigger is named.",
            "这里认不出本人，却写了触发词。", Cure.REMOVE_TRIGGER,
        ),
    }  # fmt: skip
    for kind, names in items.items():
        sentence, chinese, cure = words[kind]
        found.append(Finding(kind, tuple(names), sentence, chinese, cure, trigger))
    return found


def _leaks(lines: Sequence[Line], policy: Policy, allowed: tuple[str, ...]) -> list[Finding]:
    items: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in lines:
        for leak in leaks(line.entry.text, policy.leave_out, allowed):
            items[leak.topic.value, leak.phrase.lower()].append(line.entry.item)
    return [
        Finding(
            Kind.LEAK,
            tuple(dict.fromkeys(names)),
            f"“{phrase}” belongs to the person ({topic}): the trigger should learn it.",
            f"“{phrase}”属于人物本身（{topic}），应由触发词学习。",
            Cure.REMOVE_TERM,
            phrase,
        )
        for (topic, phrase), names in sorted(items.items(), key=lambda entry: -len(entry[1]))
    ]


def _same(lines: Sequence[Line], trigger: str, class_word: str) -> list[Finding]:
    sentences: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        said = {_bare(sentence, trigger, class_word) for sentence in re.split(r"[.。!?]", line.entry.text)}
        for sentence in said:
            if len(sentence.split()) >= 4 or len(CJK.findall(sentence)) >= 8:
                sentences[sentence].append(line.entry.item)
    least = max(2, SAME * len(lines))
    return [
        Finding(
            Kind.SAME_SENTENCE,
            tuple(items),
            f"{len(items)} of {len(lines)} captions say “{sentence}”.",
            f"{len(lines)} 条描述中有 {len(items)} 条写着“{sentence}”。",
            Cure.REWRITE,
            sentence,
        )
        for sentence, items in sentences.items()
        if len(items) >= least
    ]


def _common(lines: Sequence[Line], trigger: str, class_word: str) -> list[Finding]:
    if len(lines) < FEW:
        return []
    clauses: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        parts = {_bare(part, trigger, class_word) for part in re.split(r"[,，;；.。、]", line.entry.text)}
        for part in parts - {""}:
            clauses[part].append(line.entry.item)
    found = []
    for term, items in sorted(clauses.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        share = len(items) / len(lines)
        if share < MAY_BIND:
            break
        kind = Kind.BINDS if share >= BINDS else Kind.MAY_BIND
        will, will_zh = ("will", "会") if kind is Kind.BINDS else ("may", "可能")
        found.append(
            Finding(
                kind,
                tuple(items),
                f"“{term}” stands in {share:.0%} of the captions and {will} bind to the trigger:"
                " leave it out, or add pictures without it.",
                f"“{term}”出现在 {share:.0%} 的描述中，{will_zh}与触发词绑定：请删去，或增加不同的照片。",
                Cure.REMOVE_TERM,
                term,
            )
        )
    return found


def _lengths(lines: Sequence[Line], policy: Policy) -> list[Finding]:
    found = []
    long, short, unread = [], [], []
    for line in lines:
        text = line.entry.text
        if count(text, policy.encoder).tokens > policy.max_tokens:
            long.append(line.entry.item)
        if _words(text) < policy.words[0]:
            short.append(line.entry.item)
        if not reads(text, policy.encoder):
            unread.append(line.entry.item)
    if long:
        found.append(
            Finding(Kind.TOO_LONG, tuple(long),
                    f"Longer than the {policy.max_tokens} tokens that the text encoder reads.",
                    f"超过文本编码器能读取的 {policy.max_tokens} 个 token。", Cure.REWRITE)
        )  # fmt: skip
    if short:
        found.append(
            Finding(Kind.TOO_SHORT, tuple(short), f"Fewer than {policy.words[0]} words.",
                    f"少于 {policy.words[0]} 个词。", Cure.REWRITE)
        )  # fmt: skip
    if unread:
        found.append(
            Finding(Kind.UNREADABLE_LANGUAGE, tuple(unread),
                    "The base model's text encoder reads no Chinese.", "该底模的文本编码器不识中文。",
                    Cure.REWRITE)
        )  # fmt: skip
    words = [word.lower() for line in lines for word in re.findall(r"[^\W\d_]{2,}|[㐀-鿿]", line.entry.text)]
    typical = statistics.median([_words(line.entry.text) for line in lines]) if lines else 0
    if len(lines) >= FEW and words and len(set(words)) / len(words) < POOR / max(1.0, len(lines) / 20):
        found.append(
            Finding(Kind.POOR_WORDS, tuple(line.entry.item for line in lines),
                    f"{len(set(words))} different words, {typical:.0f} a caption: they are all of a kind.",
                    f"共 {len(set(words))} 个不同的词，描述过于雷同。", Cure.REWRITE)
        )  # fmt: skip
    return found


def has_word(text: str, trigger: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text) is not None


def _bare(text: str, trigger: str, class_word: str) -> str:
    for name in (trigger, class_word):
        if name:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.lower().split()).strip(" ,，")


def _words(text: str) -> int:
    return len(CJK.findall(text)) + len(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", CJK.sub(" ", text)))


def _distance(one: str, other: str) -> int:
    """Edits between two short words; two letters swapped count as one edit."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def term_shares(texts: Iterable[str], trigger: str = "", class_word: str = "") -> Counter[str]:
    """How many captions say each clause, for a chart."""
    counts: Counter[str] = Counter()
    for text in texts:
        parts = {_bare(part, trigger, class_word) for part in re.split(r"[,，;；.。、]", text)}
        counts.update(parts - {""})
    return counts
