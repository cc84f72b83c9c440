"""The lines of `decisions.jsonl`: everything that was decided about each input file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from lora_builder.caption.records import CaptionEntry, CaptionState
from lora_builder.explain import detail
from lora_builder.records import Crop, Decision, Look, Measurement, Reason, Rejected, Verdict


def decision_lines(
    verdicts: Iterable[Verdict],
    problems: Iterable[tuple[str, Rejected]],
    looks: Mapping[str, Look],
    crops: Mapping[str, Crop],
    cut: Collection[str],
    captions: Mapping[str, CaptionEntry],
    suffix: str,
) -> list[Decision]:
    """One line an input file, sorted by source name; training images are numbered in that order.

    `looks`, `crops` and `captions` are by SHA-256, `problems` by source name; `cut` holds the SHA-256
    of the photos whose training image is there, a file with this `suffix`.
    """
    lines = [_unreadable(name, problem) for name, problem in problems]
    number = 0
    for verdict in sorted(verdicts, key=lambda verdict: verdict.photo.source.name):
        output = None
        if verdict.kept and verdict.photo.sha256 in cut:
            number += 1
            output = f"dataset/{number:04d}{suffix}"
        lines.append(_line(verdict, looks, crops, captions, output))
    return sorted(lines, key=lambda line: line.source)


def _line(
    verdict: Verdict,
    looks: Mapping[str, Look],
    crops: Mapping[str, Crop],
    captions: Mapping[str, CaptionEntry],
    output: str | None,
) -> Decision:
    sha256 = verdict.photo.sha256
    look = looks[sha256]
    measurement = look if isinstance(look, Measurement) else None
    face = measurement.faces[verdict.subject] if measurement and verdict.subject is not None else None
    crop = crops.get(sha256) if verdict.kept else None
    caption = captions.get(sha256) if verdict.kept else None
    return Decision(
        source=verdict.photo.source.name,
        sha256=sha256,
        width=measurement.width if measurement else None,
        height=measurement.height if measurement else None,
        verdict="kept" if verdict.kept else "dropped",
        reason=verdict.reason.value,
        detail=detail(verdict),
        because_of=verdict.because_of,
        scores=dict(verdict.scores),
        faces=len(measurement.faces) if measurement else 0,
        subject_face=face.box.rounded() if face else None,
        crop=crop.box.rounded() if crop else None,
        output=output,
        caption=caption.text if caption and caption.state is CaptionState.WRITTEN else None,
    )


def _unreadable(name: str, problem: Rejected) -> Decision:
    """The line of a file of which nothing is known but that it cannot be read."""
    return Decision(
        source=name,
        sha256="",
        width=None,
        height=None,
        verdict="dropped",
        reason=Reason.UNREADABLE.value,
        detail=f"{problem.message} {problem.remedy}".strip(),
        because_of=None,
        scores={},
        faces=0,
        subject_face=None,
        crop=None,
        output=None,
        caption=None,
    )
