"""How many tokens a text encoder reads of a caption.

CLIP is counted with its own vocabulary (instant-clip-tokenizer carries it; where that wheel does not
exist, Linux on ARM, it is estimated). T5's and Qwen's vocabularies come with no package that we could
depend on, so they are estimated high: T5 splits rare words, so an English word counts 2 tokens and a
mark 1; Qwen's byte pairs give an English word at most about 1.5 and a Chinese character at most 1.5.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from lora_builder.caption.policy import Encoder

_PIECE = re.compile(r"[㐀-鿿぀-ヿ가-힯]|[^\W_]+|[^\w\s]|_")
_CJK = re.compile(r"[㐀-鿿぀-ヿ가-힯]")

T5_PER_WORD = 2.0
"""Tokens a word, estimated high; also above the share of CLIP's tokens on our own captions."""

QWEN_PER_PIECE = 1.5
"""Tokens a word or Chinese character, estimated high."""

CLIP_PER_CJK = 3.0
"""Tokens a Chinese character: CLIP has its three bytes and hardly a merge."""

CLIP_PER_WORD = 1.6
"""Tokens an English word, estimated high, where CLIP's vocabulary is not there."""


@dataclass(frozen=True)
class TokenCount:
    """`exact`: counted with the encoder's own vocabulary, not estimated."""

    tokens: int
    exact: bool


def count(text: str, encoder: Encoder) -> TokenCount:
    """The tokens of `text`, without the marks that the encoder adds."""
    if encoder == "clip":
        encode = _clip()
        if encode is not None:
            return TokenCount(len(encode(text)), exact=True)
        return TokenCount(_estimate(text, CLIP_PER_WORD, CLIP_PER_CJK), exact=False)
    if encoder == "t5":
        # T5 has no Chinese: a run of it becomes one unknown token. Counting each is the safe side.
        return TokenCount(_estimate(text, T5_PER_WORD, 1.0), exact=False)
    return TokenCount(_estimate(text, QWEN_PER_PIECE, QWEN_PER_PIECE), exact=False)


def reads(text: str, encoder: Encoder) -> bool:
    """Whether the encoder understands the language at all: T5 and CLIP know no Chinese."""
    return encoder == "qwen" or not _CJK.search(text)


def _estimate(text: str, per_word: float, per_cjk: float) -> int:
    total = 0.0
    for piece in _PIECE.findall(text):
        if _CJK.match(piece):
            total += per_cjk
        elif piece[0].isalnum():
            total += max(per_word, len(piece) / 4)
        else:
            total += 1
    return round(total + 0.499)


@functools.cache
def _clip() -> Callable[[str], list[int]] | None:
    try:
        from instant_clip_tokenizer import Tokenizer
    except ImportError:
        return None
    tokenizer = Tokenizer()

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text))

    return encode
