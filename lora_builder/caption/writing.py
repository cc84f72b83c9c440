"""From a vision model's answer to the caption of one training image, under the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_builder.caption.checks import Fault, Found, faults_of_caption, judge
from lora_builder.caption.policy import Policy
from lora_builder.caption.prompts import Prompt
from lora_builder.caption.structured import Fields, Tongue, render, tongues, with_who
from lora_builder.caption.terms import leaks, without_clauses

FIELDS_LEFT = 3
"""Fields that must still say something when leaks are taken out; with fewer the model is asked again."""


@dataclass(frozen=True)
class Writer:
    """How one training image's answer becomes its caption.

    `who`: the trigger where the person can be recognised, and the class word; never empty.
    """

    policy: Policy
    who: tuple[str, ...]
    prompt: Prompt

    def write(self, text: str, finish: str) -> str | list[Found]:
        """The caption, or what is wrong with the answer."""
        judgement = judge(text, finish, self.policy.language, f"{self.prompt.system}\n{self.prompt.user}")
        if not judgement.good:
            return list(judgement.faults)
        if judgement.fields is not None:
            caption: str | list[Found] = self._of_fields(judgement.fields)
        else:
            caption = self._of_text(judgement.text)
        if isinstance(caption, list):
            return caption
        faults = faults_of_caption(caption, self.policy, self.who)
        return faults or caption

    def _of_fields(self, fields: Fields) -> str | list[Found]:
        """Leaks are taken out of the fields that hold them, as long as enough is left to say."""
        kept: dict[Tongue, Mapping[str, str]] = {}
        for tongue in tongues(self.policy.language):
            before = fields.of(tongue)
            after = {name: self._clean(value) for name, value in before.items()}
            after = {name: value for name, value in after.items() if value}
            if len(after) < min(FIELDS_LEFT, len(before)):
                found = [leak for value in before.values() for leak in leaks(value, self.policy.leave_out)]
                return [Found(Fault.LEAK, leak.phrase) for leak in found]
            kept[tongue] = after
        return render(Fields(kept), self.who, self.policy.style, self.policy.language)

    def _of_text(self, text: str) -> str | list[Found]:
        found = leaks(text, self.policy.leave_out, self.who)
        if found:
            cleaned = without_clauses(text, [leak.phrase for leak in found])
            if len(cleaned.split()) * 2 < len(text.split()):
                return [Found(Fault.LEAK, leak.phrase) for leak in found]
            text = cleaned
        tongue = tongues(self.policy.language)[0]
        return with_who(text, self.who, self.policy.style, tongue)

    def _clean(self, value: str) -> str:
        """A field without its leaking parts; empty where the whole of it leaks."""
        found = leaks(value, self.policy.leave_out, self.who)
        if not found:
            return value
        parts = [part.strip() for part in value.replace("，", ",").replace("、", ",").split(",")]
        good = [part for part in parts if part and not leaks(part, self.policy.leave_out, self.who)]
        return ", ".join(good)
