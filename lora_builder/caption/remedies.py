"""What one click does about a finding: pure, so that the app can show it before it is done.

Saving the texts with `store.captions.set_by_user(..., lock=False)` gives the batch that undo takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lora_builder.caption.audit import Cure, Finding
from lora_builder.caption.checks import CJK
from lora_builder.caption.policy import Policy
from lora_builder.caption.records import CaptionEntry, CaptionState
from lora_builder.caption.terms import without_clauses


def remedy(
    finding: Finding, entries: Mapping[str, CaptionEntry], policy: Policy, trigger: str
) -> dict[str, str]:
    """The new texts of the items that the cure changes; locked ones and unchanged ones are not in it."""
    cure = _CURES.get(finding.cure)
    if cure is None:
        return {}
    texts = {}
    for item in finding.items:
        entry = entries.get(item)
        if entry is None or entry.locked or entry.state is not CaptionState.WRITTEN:
            continue
        text = " ".join(cure(entry.text, finding.term, policy, trigger).split())
        if text and text != entry.text:
            texts[item] = text
    return texts


def _add(text: str, term: str, policy: Policy, trigger: str) -> str:
    body = re.sub(r"^(?:an?|the)\s+", "", text, flags=re.IGNORECASE)
    return f"{trigger}, {body}" if policy.style == "tags" else f"{trigger} {body}"


def _correct(text: str, term: str, policy: Policy, trigger: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(term)}(?!\w)", trigger, text)


def _remove_trigger(text: str, term: str, policy: Policy, trigger: str) -> str:
    body = re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)[ ,，]*", "", text).strip()
    if policy.style == "prose" and body and not CJK.search(body[:1]) and not body[:1].isupper():
        body = f"{'An' if body[0] in 'aeiou' else 'A'} {body}"
    return body


def _move(text: str, term: str, policy: Policy, trigger: str) -> str:
    rest = re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)[ ,，]*", "", text, count=1).strip()
    return _add(rest, term, policy, trigger)


def _remove_term(text: str, term: str, policy: Policy, trigger: str) -> str:
    return without_clauses(text, [term])


_CURES: dict[Cure, Callable[[str, str, Policy, str], str]] = {
    Cure.ADD_TRIGGER: _add,
    Cure.CORRECT_TRIGGER: _correct,
    Cure.MOVE_TRIGGER: _move,
    Cure.REMOVE_TRIGGER: _remove_trigger,
    Cure.REMOVE_TERM: _remove_term,
}
