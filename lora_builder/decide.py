"""Measurements, settings and overrides to verdicts: pure, fast, and never measuring.

The order of judgement is that of a careful person: unreadable and exact copies first, then who is
in the picture, then quality, then what repeats a better picture, then how many are wanted. Photos
are taken best first, and one is dropped as a repetition only if it passes the thresholds against a
kept photo itself, so there are no chains and every reason names a photo that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_builder.evidence import Evidence, Facts, FirstLook, Framed, Judged, gather
from lora_builder.focus import frame, others_inside
from lora_builder.grouping import Likeness
from lora_builder.identity import Subject, Told, find_subject
from lora_builder.models.interface import Calibration
from lora_builder.neighbours import BLAS
from lora_builder.quality import Condition, defects, fault
from lora_builder.records import Floats, Look, Measurement, Override, Photo, Reason, Rejected, Verdict
from lora_builder.redundancy import Kind, Repeats, best_first, keeper_of, merits_in, repeats
from lora_builder.selection import TRAITS, choose, quotas_of, stand_in, traits_of
from lora_builder.settings import Settings

__all__ = ["Evidence", "decide", "gather", "subject_of"]

TURNED = 50.0
"""Degrees of yaw from which a face is too far turned to be compared with frontal ones."""

FRAMING = ("sizes", "max_upscale", "small_photos", "min_side")
"""The settings that decide what is cut out of a photo."""

ALONE = (
    *("about", "undecided", "turned_faces", "back_views", "several_people"),
    *("min_brightness", "max_brightness", "dim_brightness", "min_face_sharpness", "soft_face_sharpness"),
    *FRAMING,
)
"""The settings that decide what can be told of a photo by itself."""

REMEMBERED, REMEMBERED_VERDICTS = 8, 400_000
"""First looks kept in the evidence, what a slider moved to and fro needs; and verdicts in them all, of
which one takes about a kilobyte."""

_NO_OVERRIDE = Override()


def decide(
    photos: Sequence[Photo],
    looks: Mapping[str, Look],
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override] | None = None,
    references: Sequence[Floats] = (),
    others: Sequence[Floats] = (),
    evidence: Evidence | None = None,
) -> list[Verdict]:
    """One verdict a photo, sorted by source name.

    `looks` and `overrides` are by SHA-256; `references` are embeddings of the subject, `others` of
    people who are not. Pass the `evidence` of an earlier call with the same photos to judge them
    again at once.
    """
    evidence = gather(photos, looks) if evidence is None else evidence
    overrides = overrides or {}
    subject = subject_of(evidence, settings, calibration, overrides, references, others)
    verdicts = _judge(evidence, settings, calibration, overrides, subject)
    result = []
    for photo in sorted(photos, key=lambda photo: photo.source.name):
        row = evidence.row_of.get(photo.sha256)
        if row is None:
            look = looks[photo.sha256]
            assert isinstance(look, Rejected)
            note = f"{look.message} {look.remedy}".strip()
            result.append(Verdict(photo, Reason.UNREADABLE, note=note))
            continue
        original = verdicts[row]
        if original.photo is photo or original.photo.source == photo.source:
            result.append(original)
        elif original.kept:
            result.append(
                Verdict(photo, Reason.EXACT_DUPLICATE, original.photo.source.name, original.subject)
            )
        else:
            result.append(replace(original, photo=photo))
    return result


def subject_of(
    evidence: Evidence,
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override],
    references: Sequence[Floats] = (),
    others: Sequence[Floats] = (),
) -> Subject:
    """Who the project is about, remembered in the evidence."""
    likeness = Likeness.of(settings.subject_sim_th, calibration)
    told = Told.of(overrides, references, others)
    key = (likeness, told.key)
    if key not in evidence.subjects:
        with BLAS.limit(limits=1, user_api="blas"):
            evidence.subjects[key] = find_subject(evidence.faces, len(evidence.photos), likeness, told)
    return evidence.subjects[key]


def _judge(
    evidence: Evidence,
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override],
    subject: Subject,
) -> list[Verdict]:
    """Verdicts by row."""
    first = _first_look(evidence, settings, calibration, overrides, subject)
    state = replace(first, verdicts=list(first.verdicts))
    repeated = repeats(evidence, settings, calibration)
    _drop_repeats(state, repeated, evidence, settings)
    if settings.target_count:
        _cut_to_target(state, evidence, settings)
    return state.verdicts


def _first_look(
    evidence: Evidence,
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override],
    subject: Subject,
) -> FirstLook:
    """Each photo by itself; remembered, because the sliders for repetition change none of it."""
    said = tuple(
        sorted((sha, o.keep, o.prefer) for sha, o in overrides.items() if o.keep is not None or o.prefer)
    )
    alone = tuple(getattr(settings, name) for name in ALONE)
    key = (alone, id(subject), said)
    if key not in evidence.firsts:
        remembered = min(REMEMBERED, max(1, REMEMBERED_VERDICTS // max(len(evidence.photos), 1)))
        if len(evidence.firsts) >= remembered:
            evidence.firsts.clear()
        if alone not in evidence.judged and len(evidence.judged) >= remembered:
            evidence.judged.clear()
        judged = evidence.judged.setdefault(alone, {})
        similarity = calibration.similarity(subject.cosine).tolist()
        faces, doubts = subject.face.tolist(), subject.doubt.tolist()
        state = evidence.firsts[key] = FirstLook()
        for row, photo in enumerate(evidence.photos):
            told = overrides.get(photo.sha256, _NO_OVERRIDE)
            seen = faces[row], doubts[row], similarity[row]
            state.verdicts.append(_sort_in(state, row, told, seen, evidence, settings, judged))
    return evidence.firsts[key]


def _sort_in(
    state: FirstLook,
    row: int,
    told: Override,
    seen: tuple[int, int, float],
    evidence: Evidence,
    settings: Settings,
    judged: dict[tuple[int, int], Judged],
) -> Verdict:
    """The photo's verdict as far as it can be told by itself. `seen`: the subject's face, a face that
    may be theirs, -1 for none, and how similar the nearest one is."""
    face, doubt, likeness = seen
    undecided = doubt >= 0 and settings.about == "person"
    # Who keeps such a photo says that it is them; who leaves it out has answered as well.
    if undecided and (told.keep or _kept_in_doubt(evidence, row, doubt, settings)):
        face = doubt
    scores = _scores(evidence.facts, row, face, likeness)
    if undecided and told.keep is None:
        scores["undecided"] = 1.0
    photo, subject = evidence.photos[row], face if face >= 0 else None
    if told.keep is not None:
        scores["keep"] = float(told.keep)
        if told.keep:
            state.good.append(row)
        return Verdict(photo, Reason.BY_USER, None, subject, scores)
    reason = _person_fault(evidence.facts, row, face, settings)
    if reason is not None:
        return Verdict(photo, reason, None, subject, scores)
    if (row, face) not in judged:
        judged[row, face] = _judged(evidence, row, face, settings)
    reason, defects_ = judged[row, face]
    scores.update(defects_)
    if told.prefer:
        state.preferred.add(row)
    if told.prefer or reason is None:
        state.good.append(row)
        return Verdict(photo, Reason.KEPT, None, subject, scores)
    state.poor.append(row)
    return Verdict(photo, reason, None, subject, scores)


def _judged(evidence: Evidence, row: int, face: int, settings: Settings) -> Judged:
    """Why a photo with that face is unusable, if it is, and its defects by name, as scores."""
    shown = row, face
    # Where nobody is looked for, a face is a thing in the picture and need not be a good one.
    judged = shown if settings.about == "person" else (row, -1)
    framed = evidence.framed.setdefault(tuple(getattr(settings, name) for name in FRAMING), {})
    if not (shown in framed and judged in evidence.conditions):
        measurement = evidence.measurement(row)
        if shown not in framed:
            framed[shown] = _framed(measurement, face, settings)
        if judged not in evidence.conditions:
            evidence.conditions[judged] = Condition.of(measurement, judged[1] if judged[1] >= 0 else None)
        if shown not in evidence.ranks:  # while it is at hand: a large project's lies in columns
            evidence.ranks[shown] = merits_in(measurement, evidence.photos[row], face)
    (crop, others), condition = framed[shown], evidence.conditions[judged]
    found = defects(condition, crop, settings)
    return (
        fault(condition, crop, others, settings),
        {f"defect_{defect.value}": round(figure, 4) for defect, figure in found.items()},
    )


def _framed(measurement: Measurement, face: int, settings: Settings) -> Framed:
    """The crop of a photo with that face (-1: none), and how many other people's faces are in it."""
    if face < 0:
        return frame(measurement, None, settings), 0
    crop = frame(measurement, face, settings)
    return crop, others_inside(measurement, face, crop.box) if crop is not None else 0


def _scores(facts: Facts, row: int, face: int, likeness: float) -> dict[str, float]:
    scores = {
        "width": facts.width[row],
        "height": facts.height[row],
        "sharpness": facts.sharpness[row],
        "brightness": facts.brightness[row],
    }
    if facts.faces[row]:
        scores["subject_similarity"] = round(likeness, 4)
    if face >= 0:
        chosen = facts.first[row] + face
        scores["face_sharpness"] = facts.face_sharpness[chosen]
        scores["face_brightness"] = facts.face_brightness[chosen]
        scores["yaw"] = facts.yaw[chosen]
    return scores


def _kept_in_doubt(evidence: Evidence, row: int, doubt: int, settings: Settings) -> bool:
    if settings.undecided == "keep" or settings.turned_faces != "keep":
        return settings.undecided == "keep"
    faces = evidence.measurement(row).faces
    return len(faces) == 1 and abs(faces[doubt].pose.yaw) >= TURNED


def _person_fault(facts: Facts, row: int, face: int, settings: Settings) -> Reason | None:
    if face >= 0 or settings.about == "anything":
        return None
    if facts.faces[row]:
        return Reason.OTHER_PERSON
    return None if facts.back[row] and settings.back_views == "keep" else Reason.NO_PERSON


def _drop_repeats(state: FirstLook, repeated: Repeats, evidence: Evidence, settings: Settings) -> None:
    """Takes the good ones best first, and drops those that repeat a kept one."""
    kept: set[int] = set()
    for row in best_first(evidence, repeated, state.verdicts, state.good, state.preferred):
        keeper = keeper_of(row, repeated, kept, settings.keep_per_cluster)
        if keeper is None or state.verdicts[row].reason is Reason.BY_USER:
            kept.add(row)
        else:
            state.verdicts[row] = _repeat_of(state.verdicts[row], row, keeper, repeated, evidence)
    for row in state.poor:
        # What is wrong with a copy matters less than that its better original is there.
        keeper = keeper_of(row, repeated, kept, settings.keep_per_cluster)
        if keeper is not None and keeper[1] is not Kind.TAKE:
            state.verdicts[row] = _repeat_of(state.verdicts[row], row, keeper, repeated, evidence)


def _repeat_of(
    verdict: Verdict, row: int, keeper: tuple[int, Kind], repeated: Repeats, evidence: Evidence
) -> Verdict:
    other, kind = keeper
    scores = {**verdict.scores, **repeated.scores(repeated.of[row][other][1], kind)}
    name = evidence.photos[other].source.name
    return replace(verdict, reason=kind.reason, because_of=name, scores=scores)


def _cut_to_target(state: FirstLook, evidence: Evidence, settings: Settings) -> None:
    """Keeps the `target_count` photos that cover most; each other one names the one in its stead."""
    rows = [row for row, verdict in enumerate(state.verdicts) if verdict.kept]
    if len(rows) <= settings.target_count and not settings.quotas:
        return
    verdicts = [state.verdicts[row] for row in rows]
    traits = traits_of(
        [evidence.measurement(row) for row in rows],
        [verdict.subject for verdict in verdicts],
        [verdict.scores.get("subject_similarity", 0.0) for verdict in verdicts],
    )
    must = [i for i, verdict in enumerate(verdicts) if verdict.reason is Reason.BY_USER]
    picks = choose(traits, settings.target_count, must, quotas_of(settings.quotas))
    names = {}
    for number, pick in enumerate(picks, 1):
        verdict = verdicts[pick.row]
        added = {
            "pick": float(number),
            "adds": float(list(TRAITS).index(pick.trait) + 1),
            "added": pick.added,
        }
        scores = {**verdict.scores, **added, "added": round(pick.added, 4)}
        state.verdicts[rows[pick.row]] = replace(verdict, scores=scores)
        names[verdict.photo.source.name] = verdict.photo.source.name
    for i, verdict in enumerate(verdicts):
        name = verdict.photo.source.name
        if name not in names:
            instead = verdicts[stand_in(traits, i, picks)].photo.source.name if picks else None
            names[name] = instead or ""
            state.verdicts[rows[i]] = replace(verdict, reason=Reason.OVER_TARGET, because_of=instead)
    chosen = {verdicts[pick.row].photo.source.name for pick in picks}
    for row, verdict in enumerate(state.verdicts):
        if verdict.because_of is not None and verdict.because_of not in chosen:
            instead = names.get(verdict.because_of) or None
            state.verdicts[row] = replace(verdict, reason=Reason.OVER_TARGET, because_of=instead)
