"""How models word refusals, thoughts and politeness: patterns in English and Chinese."""

from __future__ import annotations

import re

_CANNOT = r"(?:can(?:no|')?t|can not|won't|will not|am not able to|'m not able to|am unable to|'m unable to|be (?:un)?able to|do not|don't|must (?:\w+ )?decline|am not comfortable|'m not comfortable|am not allowed|(?:do not|don't) have (?:the )?(?:ability|capability))"

_CANNOT = _CANNOT.replace(" ", "\\ ")

REFUSAL = re.compile(
    rf"""
    \b(?:i|we)(?:\ would|\ do|\ am|\ will)?\ ?{_CANNOT}\b
    | \bi(?:'m|\ am)\ (?:very\ |so\ |really\ )?sorry\b
    | ^\W*(?:i'm\ )?sorry\b[,.!]?\ (?:but\ |i\b|that|this|no\b|unable)
    | \bi\ (?:do\ not|don't)\ (?:see|have|feel|find|think|describe|identify)
    | \b(?:my|our)\ (?:sincere\ )?apolog|\bi\ apologi[sz]e
    | \bunfortunately,?\ (?:i|we|this|the|it|no)\b
    | \bas\ an?\ (?:ai|artificial|large\ language|language|text)(?:[- ](?:based\ )?)(?:model|assistant|language|ai|intelligence)?
    | \bas\ an\ ai\b[, ]
    | \b(?:my|the|our|usage|content|safety)\ (?:\w+\ )?(?:guidelines|polic(?:y|ies))\b(?=.*\b(?:allow|permit|prevent|violat|against|prohibit))
    | \b(?:violates?|against|violating)\ (?:\w+\ ){{0,3}}(?:polic(?:y|ies)|guidelines|terms)
    | \bplease\ (?:provide|upload|attach|share|send|resend)\b.*\b(?:image|picture|photo)
    | \bno\ (?:image|picture|photo)\ (?:was|is|has|came|seems|could|attached|provided)
    | \b(?:could|can)\ you\ (?:please\ )?(?:upload|attach|share|send|provide)
    | \b(?:image|picture|photo)\ (?:could|can)\ ?not\ be\ (?:processed|loaded|read|opened|displayed|analy[sz]ed)
    | \b(?:it\ would\ be|it\ is|it's)\ (?:inappropriate|not\ appropriate|not\ possible)\ (?:for\ me|to)
    | \b(?:decline|refuse)\ (?:to\ (?:describe|caption|answer|identify|comment)|this\ (?:request|task))
    | \bfor\ privacy\ reasons\b
    | \bunable\ to\ (?:identify|describe|process|assist|help|fulfil|comply\ with\ (?:this|your)|view|provide|caption)
    | \b(?:can(?:no|')?t|cannot|unable\ to)\ (?:identify|determine|describe|assist|help\ (?:you\ )?with)\b.*
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

REFUSAL_ZH = re.compile(
    r"^\W*(?:非常|很|十分)?(?:抱歉|对不起|不好意思|遗憾)(?:[，,。！]|$|[^地的])"
    r"|我(?:暂时|目前|现在|并|也|确实|还)*(?:无法|不能|没办法|没有办法|不可以|不会|没有看到|看不到|没看到|不便|不支持|帮不上)"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|语言模型|大模型|虚拟)"
    r"|请(?:您|你)?(?:重新)?(?:上传|提供|发送)(?:一张|您的|你的)?(?:图|照)"
    r"|(?:没有|未)(?:看到|收到|上传|检测到)(?:您|你)?(?:上传|发送)?的?(?:任何)?(?:图|照)"
    r"|(?:违反|不符合)(?:了)?(?:相关|我们的|平台)?(?:规定|政策|准则|法律|法规)"
    r"|根据(?:相关|平台)?(?:政策|规定|法律)|出于(?:隐私|安全)|不便回答|无法(?:为您|帮助您|提供|完成|处理|识别|描述)"
    r"|(?:还|暂)不支持|帮不上忙"
)

THINKING = re.compile(
    r"\bthe user (?:wants|asked|asks|is asking|has|would)|\blet me (?:think|look|analy[sz]e|reconsider|check|see|start|describe|examine)"
    r"|\bstep by step\b|\bthinking process\b|\bi (?:should|need to|have to|must) (?:avoid|leave|write|describe|make|output|focus|mention|not|first|be)"
    r"|\bokay, so\b|^\W*(?:hmm+|alright|wait)[,.]|\. wait, |\bbut wait\b|\bwe need to (?:output|write|describe|produce)"
    r"|<\|?channel|<\|?(?:message|analysis)|^\W*(?:analy[sz]e|analysis)\b.*\brequest\b|\bthe instructions? (?:say|said|ask|want)",
    re.IGNORECASE | re.MULTILINE,
)

THINKING_ZH = re.compile(
    "(?:先|再|首先)(?:来)?(?:分析|考虑|看看)|应该算|用户(?:要|希望|想|让|需要|要求)|让我(?:想|看|分析|思考|先)|我(?:需要|应该|得)(?:先)?(?:分析|描述|考虑|避免|注意|从)|思考过程"
)

THINK_OPEN = re.compile(
    r"<\s*(?:think|thinking|thought|reasoning|analysis)\s*>|◁think▷|\[THINK\]", re.IGNORECASE
)
THINK_CLOSED = re.compile(
    r"(?:<\s*(think|thinking|thought|reasoning|analysis)\s*>.*?<\s*/\s*\1\s*>)|(?:◁think▷.*?◁/think▷)|(?:\[THINK\].*?\[/THINK\])",
    re.IGNORECASE | re.DOTALL,
)
THINK_END = re.compile(
    r"^.*?(?:</\s*(?:think|thinking|thought|reasoning)\s*>|◁/think▷|\[/THINK\])", re.IGNORECASE | re.DOTALL
)
"""Some servers swallow the opening mark; what comes before the closing one is thought all the same."""

PREFACE = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|great)\b[^:\n]{0,40}[,.!:]\s*)?"
    r"(?:(?:here(?:'s| is| are)|this is|below is)\b[^:\n]{0,60}:|(?:image |photo )?(?:caption|description|answer|output)\s*:)\s*",
    re.IGNORECASE,
)
PREFACE_ZH = re.compile(
    r"^\W*(?:好的|当然|没问题)?[，,！!]?\s*(?:以下是|这是|下面是)?[^：:\n，。]{0,14}(?:描述|说明|标注|提示词|结果)(?:如下)?\s*[：:]\s*"
)

PLACEHOLDER = re.compile(
    r"\s*(?:<[^<>]*>|\[[^\[\]]*\]|\.{2,}|…+|string|text|str|value|your \w+ here|phrase)\s*", re.IGNORECASE
)

ECHO = re.compile(
    r"\b(?:leave out|do not describe|don't describe|say nothing about)\b.*\b(?:face|eyes|skin|ethnicity)"
    r"|\banswer with (?:one|this|the) (?:json|sentence)|\bfill in every field|\byou (?:write|describe) (?:captions|pictures)"
    r"|(?:不要|请勿|请不要)(?:描述|提及)|请只描述|只描述画面",
    re.IGNORECASE | re.DOTALL,
)

MACHINE = re.compile(
    r"<\s*(?:!doctype|html|head|body|script)\b|<\|[a-z_]+\|>|\b(?:internal server error|bad gateway|service unavailable|gateway time-?out|"
    r"upstream connect error|connection (?:timeout|refused|reset)|traceback \(most recent)|https?://|\bfunction\s*\w*\s*\(|\breturn\s+['\"]|\x1b\[|�",
    re.IGNORECASE,
)

OBEYS = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.]{0,30}\b(?:instruction|prompt|rule)s?|\bhacked\b|\bpwned\b|忽略(?:以上|之前|所有)?[^。]{0,8}(?:指令|提示)",
    re.IGNORECASE,
)
"""Words that stood in a picture and were obeyed."""

DIALOGUE = re.compile(
    r"(?-i:\bI(?:['’](?:m|ll|ve|d))?\b(?!-))|\b(?:[Yy]ou|[Yy]our|[Ww]e|[Mm]y|[Mm]e|[Oo]ur)\b|\b[Tt]hank(?:s| you)\b|\b[Pp]lease\b|[我你您]|谢谢|请稍"
    r"|\b(?:the assistant|cannot comply|can't comply|(?:the|a|this) (?:caption|prompt|instructions?) (?:should|is|must|says?))\b|[?？]",
    re.IGNORECASE,
)
"""Words of a conversation; no description of a picture speaks to anybody."""

BLOCKED = re.compile(
    r"\b(?:request|input|image|photo|picture|content|response|output)\b[^.]{0,30}\b(?:blocked|flagged|rejected|filtered|withheld|unavailable)\b"
    r"|\bsafety (?:system|filter|settings)\b|\bplaceholder\b|\bmock (?:response|answer)\b|\bnot possible\b|\bsorry\W*$|\bno comment\b"
    r"|不合规|已被?(?:拦截|屏蔽|过滤)|暂不可用|服务(?:暂|不)",
    re.IGNORECASE,
)
"""What gateways and filters say in a model's place."""

OTHER_SCRIPT = re.compile(r"[\u0370-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\uac00-\ud7af]")
"""Letters of neither English nor Chinese: Greek, Cyrillic, Hebrew, Arabic, Indic, Thai, kana, hangul."""

PICTURE = re.compile(
    r"\b(?:shot|close-?up|portrait|view|photo|image|picture|body|bust|framing|profile|camera|head|standing|sitting|seated|seen|wearing|facing)\b|照|特写|近景|远景|中景|正面|侧面|背|镜头|视角|构图|画面",
    re.IGNORECASE,
)
"""Words of which a description of a person's picture has at least one."""

NOTHING = re.compile(
    r"\W*(?:n/?a|none|null|nil|nothing|unknown|undefined|empty|no caption|无|没有|未知|空|\{\s*\}|\[\s*\])?\W*",
    re.IGNORECASE,
)

QUOTED = re.compile(
    r"\"[^\"\n]{1,80}\"|“[^”\n]{1,80}”|「[^」\n]{1,80}」|『[^』\n]{1,80}』|(?<!\w)'[^'\n]{1,80}'(?!\w)|‘[^’\n]{1,80}’(?!\w)"
)
"""Words that stand in the picture."""

FOREIGN = frozenset(
    "un une des les du et avec dans sur qui est une elle il pour au aux el la los las una unos con en y que del por es "
    "der die das ein eine einen dem den mit und im ist auf von zu sich il lo gli uno nel nella di che per um uma com no na "
    "em os as dos het een met van op en zijn och med på ett som".split()
)
"""Small words of French, Spanish, German, Italian, Portuguese, Dutch and Swedish."""

ENGLISH = frozenset(
    "a an the of in on with at by and from to for under over behind near is are as into against beside between through up down off "
    "out his her their its one two while both no not".split()
)

_FILLER = frozenset(
    "a an the mock example sample dummy test fake placeholder string text value of for".split()
)


def is_placeholder(field: str, value: str) -> bool:
    """Whether a field of an answer holds a mark for what should stand there, or only its own name.

    >>> is_placeholder("view", "mock-view"), is_placeholder("view", "side view")
    (True, False)
    """
    words = set(re.findall(r"[^\W_]+", value.lower())) - _FILLER
    return PLACEHOLDER.fullmatch(value) is not None or words <= {field}
