"""What a caption should look like for each base model: style, length, order, what to leave out.

What captions do not say is what the trigger word learns. So what belongs to the person is left out,
and what changes from picture to picture is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from lora_builder.settings import Settings

Language = Literal["en", "zh", "both"]
Style = Literal["prose", "tags"]
Encoder = Literal["clip", "t5", "qwen"]


class Topic(str, Enum):
    """What belongs to the person and is left to the trigger word."""

    FACE = "face"
    EYES = "eyes"
    SKIN = "skin"
    AGE = "age"
    ETHNICITY = "ethnicity"
    HAIR = "hair"
    MAKEUP = "makeup"
    BEARD = "beard"
    GLASSES = "glasses"


EVERYTHING = frozenset(Topic)

ALWAYS = frozenset({Topic.FACE, Topic.EYES, Topic.SKIN, Topic.AGE, Topic.ETHNICITY})
"""Left out whatever the settings say; the rest can be switched on by `describe`."""

ORDER = ("framing", "view", "pose", "expression", "outfit", "place", "light")
"""The fields of a caption, in the order in which they follow the trigger and the class word."""


@dataclass(frozen=True)
class Policy:
    """How captions are written: `words` is the (fewest, most) of the English text without the
    trigger; `max_tokens` what `encoder` reads before it cuts."""

    name: str
    style: Style
    encoder: Encoder
    max_tokens: int
    words: tuple[int, int]
    order: tuple[str, ...] = ORDER
    language: Language = "en"
    leave_out: frozenset[Topic] = EVERYTHING


POLICIES = {
    policy.name: policy
    for policy in (
        # 75: CLIP's context of 77 less its two marks. Longer captions are cut by trainers at their defaults.
        Policy("sdxl_tags", "tags", "clip", 75, (6, 35)),
        Policy("sdxl_prose", "prose", "clip", 75, (10, 40)),
        # 512: max_sequence_length of the diffusers pipelines of each.
        Policy("flux", "prose", "t5", 512, (15, 60)),
        # FLUX.2 reads Mistral's tokens, which cut words about as Qwen's do.
        Policy("flux2", "prose", "qwen", 512, (15, 60)),
        Policy("qwen_image", "prose", "qwen", 512, (15, 70)),
        Policy("z_image", "prose", "qwen", 512, (15, 70)),
        Policy("custom", "prose", "t5", 512, (5, 80)),
    )
}
"""By name. `custom` takes style from `caption_style` and length from `caption_words`."""


def policy_of(settings: Settings) -> Policy:
    """The policy in force."""
    name: str = settings.caption_policy
    if name == "auto":
        name = _AUTOMATIC[settings.base_model]
        if name == "sdxl_prose" and settings.caption_style == "tags":
            name = "sdxl_tags"
    policy = POLICIES[name]
    if settings.caption_policy in ("auto", "custom"):
        policy = replace(policy, style=settings.caption_style)
    if settings.caption_words:
        fewest, most = (int(part) for part in settings.caption_words.split("-"))
        policy = replace(policy, words=(min(fewest, most), max(fewest, most)))
    described = {Topic(name) for name in settings.describe}
    return replace(policy, language=settings.caption_language, leave_out=ALWAYS | (EVERYTHING - described))


_AUTOMATIC = {
    "sdxl": "sdxl_prose",
    "flux": "flux",
    "flux2": "flux2",
    "qwen-image": "qwen_image",
    "z-image": "z_image",
    "krea2": "qwen_image",
}
"""Policies by base model, for `auto`; tags on SDXL are `sdxl_tags`."""
