"""What the core says reaches a Chinese reader in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lora_builder
from lora_builder import errors
from lora_builder.caption.checks import SENTENCES
from lora_builder.files import _REMEDIES
from lora_builder.ui.said import said
from lora_builder.ui.texts import TEXTS
from lora_builder.ui.texts.faults import FAULTS

ROOT = Path(lora_builder.__file__).parent
ENGLISH_ONLY = ("cli/", "ui/api.py", "passwords.py")
"""Rooms whose readers are programs and terminals."""

SAYING = {name: slice(0, 2) for name, kind in vars(errors).items() if isinstance(kind, type)} | {
    "Rejected": slice(0, 2),
    "Problem": slice(1, 3),
    "Trouble": slice(1, 2),
}
"""The arguments that are sentences, by what is made of them."""

FIELD = re.compile(r"\{\w*\}")


def sentences() -> Iterator[tuple[str, str]]:
    """(where, template) of every sentence that the core can say; what is put in is `{}`."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(ENGLISH_ONLY):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "_told":
                pairs = [part.value for part in ast.walk(node) if isinstance(part, ast.Return)]
                for pair in (pair for pair in pairs if isinstance(pair, ast.Tuple)):
                    yield from ((f"{name}:{pair.lineno}", written(part)) for part in pair.elts)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING:
                for argument in node.args[SAYING[node.func.id]]:
                    said_there = named.get(argument.id) if isinstance(argument, ast.Name) else argument
                    if template := written(said_there):
                        yield f"{name}:{node.lineno}", template


def written(node: ast.expr | None) -> str:
    """A literal, or an f-string with words of its own; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
    text = re.sub(r"(\{\})+", "{}", "".join(parts).replace("{{}}", "{}"))
    return text if re.search("[A-Za-z]", text.replace("{}", "")) else ""


def test_everything_that_the_core_can_say_has_its_chinese() -> None:
    """Whoever adds a sentence that people read adds the Chinese one, in `ui/texts/faults.py`."""
    known = {FIELD.sub("{}", english) for english, _ in (*FAULTS, *SENTENCES.values())}
    found = list(sentences())
    assert len(found) > 150
    assert [line for line in found if line[1] not in known] == []
    assert set(_REMEDIES.values()) <= known


def test_both_languages_carry_the_same_words_over() -> None:
    """No figure and no name is lost on the way, and none is listed twice."""
    assert len({english for english, _ in FAULTS}) == len(FAULTS)
    for english, chinese in FAULTS:
        assert sorted(FIELD.findall(english)) == sorted(FIELD.findall(chinese)), english
        assert re.search("[\u4e00-\u9fff]", chinese), english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The file is empty. Copy it again from where it came.", "文件是空的。请从原处重新复制。"),
        (
            "The ZIP cannot be read: File is not a zip file. Make the ZIP again from the photos themselves.",
            "ZIP 无法读取：文件不是 ZIP。请用照片重新打包 ZIP。",
        ),
        ("There is no layout 'x'.", "没有布局 'x'。"),
        ("There is no /tmp/x.", "找不到 /tmp/x。"),
        (
            "The reference photo a. b.jpg cannot be read: The file is empty. Copy it again.",
            "参考照片 a. b.jpg 无法读取：文件是空的。请重新复制。",
        ),
        ("alpha@here: The model refused.", "alpha@here：模型拒绝了。"),
        (
            "7 photos have no caption: a.jpg, b.jpg and 5 more. m@h: No answer within 9 s.",
            "7 张照片没有描述：a.jpg, b.jpg，另有 5 张。m@h：9 秒内没有答复。",
        ),
        ("There are no pictures. (0001, 0002) Run the export again.", None),
        ("You have 3 jobs at work already.", TEXTS["too_many_jobs"][1].format(most=3)),
        ("Ein Satz, den niemand kennt. Noch einer.", None),
    ],
)
def test_sentences_are_found_again(english: str, chinese: str | None) -> None:
    """With figures and names in them, several in a row, one within another; unknown ones stay."""
    assert said(english, "en") == english
    if chinese:
        assert said(english, "zh") == chinese
    else:
        assert said(english, "zh")
