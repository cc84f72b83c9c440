"""Words for what belongs to the person, in English and Chinese: found, and taken out again.

The lists aim at statements about identity ("blue eyes", "a young woman") and spare what only sounds
like it ("eyes closed", "close-up of the face", "wine glasses", "an old wall").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass

from lora_builder.caption.policy import Topic

_PERSON = r"(?:wo)?m[ae]n|person|people|lady|gentleman|guy|girl|boy|adult|male|female|model|individual"
_COLOUR = r"blue|green|brown|hazel|gr[ae]y|dark|light|black|amber|bright|deep|piercing|pale"

_ENGLISH: dict[Topic, str] = {
    Topic.FACE: r"""
        (?:round|oval|square|long|narrow|heart-shaped|chiselled|chiseled|angular|pretty|beautiful|handsome|
           attractive|slim|chubby|delicate)\ (?:face|features)|facial\ features|
        cheekbones?|jaw-?lines?|(?:square|strong|sharp)\ jaw|freckles?|freckled|dimples?|double\ chin|cleft\ chin|
        (?:full|thin|plump|pouty|rosy|red|pink)\ lips|
        (?:straight|small|large|big|long|button|aquiline|pointed|crooked|prominent)\ nose|
        (?:high|broad|wide)\ forehead|beauty\ mark|birthmark|attractive|handsome|beautiful\ (?:%(person)s)
    """,
    Topic.EYES: r"""
        (?:%(colour)s)(?:[- ](?:%(colour)s))?[- ]eye[sd]|(?:almond|hooded|deep-set|round|big|large|small|narrow|wide-set|
           monolid)(?:[- ]shaped)?[- ]eye[sd]|(?:long|thick|dark)\ (?:eye)?lashes|
        (?:thick|bushy|thin|arched|dark|full|defined|well-defined)\ (?:eye)?brows|iris(?:es)?\b(?!\ flower)
    """,
    Topic.SKIN: r"""
        (?:pale|fair|dark|light|tan(?:ned)?|olive|smooth|brown|black|white|porcelain|clear|flawless|sun-kissed|glowing|
           medium|warm|wrinkled|weathered)[- ](?:toned?[- ])?skin(?:ned)?|skin\ tone|complexion|wrinkles|wrinkled\ face
    """,
    Topic.AGE: r"""
        (?:young|younger|old|older|elderly|middle-aged|teenaged?|adolescent|mature)(?:[ ,-]+\w+)?[ -](?:%(person)s)|
        elderly|middle-aged|teenagers?|\byouthful\b|
        \d{1,2}[- ]years?[- ]olds?|aged\ \d+|in\ (?:his|her|their)\ (?:(?:early|mid|late)[- ])?
        (?:teens|twenties|thirties|forties|fifties|sixties|seventies|\d0s)|senior\ (?:citizen|%(person)s)
    """,
    Topic.ETHNICITY: r"""
        caucasian|african[- ]american|hispanic|latin[oax]s?\b|
        (?:east|south|southeast|central|north|west)?[ -]?
        (?:asian|african|european|arab|chinese|japanese|korean|indian|thai|vietnamese|black|white|brown|native\ american|
           middle[- ]eastern|slavic|nordic|mediterranean|mixed[- ]race)(?:[ -](?:looking|young|old))?[ -](?:%(person)s)|
        of\ \w+\ (?:descent|origin|heritage|ethnicity)|ethnicity
    """,
    Topic.HAIR: r"""
        hair(?!dresser|\ ?salon|\ ?dryer)(?:ed|style|cut|line)?s?|\w+-haired|blondes?|blonde?|brunettes?|redhead(?:ed)?|
        ponytails?|pony-tails?|pigtails?|braids?|braided|bangs|dreadlocks|\bbald(?:ing)?\b|curls|
        (?:hair|top|low|messy|loose)\ bun|in\ a\ bun|bob\ cut|afro
    """,
    Topic.MAKEUP: r"make-?up(?!\ (?:table|room|artist|mirror))|lipstick|eyeliner|mascara|eye-?shadow|blusher|lip\ gloss",
    Topic.BEARD: r"beard(?:ed)?s?|moustaches?|mustaches?|stubble|goatee|clean-shaven|unshaven|facial\ hair|sideburns",
    Topic.GLASSES: r"""
        sunglasses|eyeglasses|spectacles|bespectacled|
        (?<!wine\ )(?<!champagne\ )(?<!drinking\ )(?<!beer\ )(?<!empty\ )glasses(?!\ (?:of|on\ the\ table))
    """,
}  # fmt: skip

_CHINESE: dict[Topic, str] = {
    Topic.FACE: "五官|脸型|瓜子脸|圆脸|鹅蛋脸|方脸|颧骨|酒窝|雀斑|高鼻梁|鼻梁|双下巴|下颌线|厚嘴唇|薄嘴唇|樱桃小嘴|美女|帅哥|漂亮|英俊|俊朗",
    Topic.EYES: "[蓝绿棕褐黑灰浅深]色?的?(?:眼睛|眼眸|双眼|瞳)|[大小圆]眼睛|杏眼|丹凤眼|双眼皮|单眼皮|浓眉|眉毛[浓粗细]|睫毛",
    Topic.SKIN: "皮肤|肤色|肌肤|白皙|黝黑|皱纹|古铜色",
    Topic.AGE: "年轻|年老|老年|中年|青年|少女|少年|老人|老太太|老奶奶|老爷爷|小女孩|小男孩|[0-9一二三四五六七八九十]+多?岁",
    Topic.ETHNICITY: "亚洲[人女男面]|亚裔|白人|黑人|非裔|拉丁裔|欧美[人女男面]|混血|中国[女男]|日本[女男]|韩国[女男]|[东西]方面孔|种族",
    Topic.HAIR: "头发|长发|短发|卷发|直发|秀发|黑发|金发|棕发|白发|红发|马尾|辫子|刘海|发型|发髻|丸子头|光头|秃顶",
    Topic.MAKEUP: "化妆|化了?[淡浓]妆|妆容|淡妆|浓妆|口红|唇彩|眼影|眼线|腮红|睫毛膏",
    Topic.BEARD: "胡子|胡须|胡茬|络腮|八字胡|山羊胡|鬓角",
    Topic.GLASSES: "眼镜|墨镜|太阳镜",
}

_PATTERNS: dict[Topic, tuple[re.Pattern[str], re.Pattern[str]]] = {
    topic: (
        re.compile(
            rf"\b(?:{_ENGLISH[topic].replace('%(person)s', _PERSON).replace('%(colour)s', _COLOUR)})(?!\w)",
            re.IGNORECASE | re.VERBOSE,
        ),
        re.compile(_CHINESE[topic]),
    )
    for topic in Topic
}

_CLAUSE = re.compile(r"(?<=[,;，；、。])|(?<=[.!?])(?=\s)")


@dataclass(frozen=True)
class Leak:
    """A phrase of the caption that belongs to the person."""

    topic: Topic
    phrase: str


def leaks(text: str, leave_out: Collection[Topic], allowed: Collection[str] = ()) -> list[Leak]:
    """What the text says of the topics to leave out; `allowed` are the user's own words (trigger, class).

    A class word such as `young woman` is taken as it is; `woman` excuses nothing.
    """
    for words in allowed:
        if words and _leaking(words, frozenset(leave_out)):
            text = re.sub(re.escape(words), " ", text, flags=re.IGNORECASE)
    found = []
    for topic in Topic:
        if topic in leave_out:
            for pattern in _PATTERNS[topic]:
                found += [Leak(topic, match.group(0).strip()) for match in pattern.finditer(text)]
    return found


@functools.lru_cache(maxsize=256)
def _leaking(words: str, leave_out: frozenset[Topic]) -> bool:
    """Whether the user's own words say what is to be left out; asked for every field of every answer."""
    return bool(leaks(words, leave_out))


def without_clauses(text: str, phrases: Collection[str]) -> str:
    """The text without the clauses (between commas, or sentences) that hold one of the phrases.

    The first clause, which carries the trigger, loses only the phrase itself. Unchanged where
    nothing would be left of it.
    """
    lowered = [phrase.lower() for phrase in phrases]
    clauses = [clause for clause in _CLAUSE.split(text) if clause]
    kept = []
    for position, clause in enumerate(clauses):
        hit = [phrase for phrase in lowered if phrase in clause.lower()]
        if not hit:
            kept.append(clause)
        elif position == 0:
            for phrase in hit:
                clause = re.sub(rf"(?:\b(?:with|wearing|and)\s+)?{re.escape(phrase)}", "", clause, flags=re.I)
            kept.append(clause)
        elif clause.rstrip().endswith((".", "。")) and kept:
            kept[-1] = kept[-1].rstrip(" ,，;；、") + clause.rstrip()[-1]
    result = " ".join("".join(kept).split())
    result = re.sub(r"\s+([,.;，。；])", r"\1", result).rstrip(" ,，;；、")
    return result or text
