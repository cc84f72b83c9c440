"""Measurements, settings and overrides to verdicts: pure, fast, and never measuring.

The order of judgement is that of a careful person: unreadable and exact copies first, then who is
in the picture, then quality, then what repeats a better picture, then how many are wanted. Photos
are taken best first, and one is dropped as a repetition only if it passes the thresholds against a
kept photo itself, so there are no chains and every reason names a photo that is there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lora_builder.focus import frame, others_inside
from lora_builder.identity import FaceTable, Likeness, Subject, Told, find_subject
from lora_builder.models.interface import Calibration
from lora_builder.records import (
    Crop,
    Face,
    Floats,
    Look,
    Measurement,
    Override,
    Photo,
    Reason,
    Rejected,
    Verdict,
)
from lora_builder.settings import Settings
from lora_builder.similarity import Pairs, close_hashes, correlated, ssim

SCENE_SIDE = 16
"""Side of the thumbnails whose correlation nominates two takes of one shot."""

SCENE_CORRELATION = 0.70
"""Correlation of those thumbnails below which two photos cannot be the same moment."""

NOMINATED_BITS = 12
"""Hash distance up to which pairs are compared once, so that moving the threshold costs nothing."""

SAME_MOMENT_SECONDS = 60.0
"""Photos whose cameras' clocks are further apart were not taken in one moment."""

POSE_SPAN = 45.0
"""Degrees of head rotation between two photos at which their pose similarity is 0."""

EYES_CLOSED = 0.25
"""`Face.eyes_open` below this is a blink."""

LOSSLESS = {"PNG", "TIFF", "BMP", "RAW"}

_NO_OVERRIDE = Override()


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the measurements alone say, whatever the settings: gathered once, judged many times.

    `photos` and `measurements` go together, one row a distinct content, sorted by source name.
    `pairs` (n, 2) are the candidates for repetition with their figures in `hash_distance` and
    `picture_ssim` (n,). The caches hold what depends on few settings.
    """

    photos: tuple[Photo, ...]
    measurements: tuple[Measurement, ...]
    faces: FaceTable
    pairs: Pairs
    hash_distance: NDArray[np.int64]
    picture_ssim: Floats
    subjects: dict[object, Subject] = field(default_factory=dict)
    crops: dict[object, dict[tuple[int, int], Crop | None]] = field(default_factory=dict)
    shots: dict[bytes, dict[str, Floats]] = field(default_factory=dict)


def gather(photos: Sequence[Photo], looks: Mapping[str, Look]) -> Evidence:
    """Candidate pairs and face table of all readable photos. `looks` is by SHA-256."""
    first: dict[str, Photo] = {}
    for photo in sorted(photos, key=lambda photo: photo.source.name):
        first.setdefault(photo.sha256, photo)
    rows = [(p, m) for p in first.values() if isinstance(m := looks[p.sha256], Measurement)]
    measurements = tuple(m for _, m in rows)
    hashes = np.array([m.phash for m in measurements], dtype=np.uint64)
    side = measurements[0].grey.shape[0] if measurements else SCENE_SIDE
    greys = np.array([m.grey for m in measurements], dtype=np.uint8).reshape(-1, side, side)
    pairs = np.unique(
        np.concatenate([close_hashes(hashes, NOMINATED_BITS), correlated(_scenes(greys), SCENE_CORRELATION)]),
        axis=0,
    )
    return Evidence(
        tuple(p for p, _ in rows),
        measurements,
        FaceTable.of(measurements),
        pairs,
        np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int64),
        ssim(greys, pairs),
    )


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
    subject = _subject(evidence, settings, calibration, Told.of(overrides, references, others))
    verdicts = _judge(evidence, settings, calibration, overrides, subject)
    result = []
    for photo in sorted(photos, key=lambda photo: photo.source.name):
        look = looks[photo.sha256]
        if isinstance(look, Rejected):
            note = f"{look.message} {look.remedy}".strip()
            result.append(Verdict(photo, Reason.UNREADABLE, note=note))
            continue
        original = verdicts[photo.sha256]
        if original.photo.source == photo.source:
            result.append(original)
        elif original.kept:
            result.append(
                Verdict(photo, Reason.EXACT_DUPLICATE, original.photo.source.name, original.subject)
            )
        else:
            result.append(replace(original, photo=photo))
    return result


def _scenes(greys: NDArray[np.uint8]) -> Floats:
    """Tiny thumbnails as unit vectors without their mean: dot products are correlations."""
    if not len(greys):
        return np.empty((0, SCENE_SIDE**2), dtype=np.float32)
    step = greys.shape[1] // SCENE_SIDE
    small = greys.reshape(len(greys), SCENE_SIDE, step, SCENE_SIDE, step).mean(axis=(2, 4), dtype=np.float32)
    flat = small.reshape(len(greys), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    result: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return result


def _subject(evidence: Evidence, settings: Settings, calibration: Calibration, told: Told) -> Subject:
    likeness = Likeness.of(settings.subject_sim_th, calibration)
    key = (likeness, told.key)
    if key not in evidence.subjects:
        evidence.subjects[key] = find_subject(evidence.faces, len(evidence.photos), likeness, told)
    return evidence.subjects[key]


def _judge(
    evidence: Evidence,
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override],
    subject: Subject,
) -> dict[str, Verdict]:
    """Verdicts by SHA-256."""
    likeness = calibration.similarity(subject.cosine)
    crops = _crops(evidence, settings)
    verdicts: dict[int, Verdict] = {}
    good: list[int] = []
    poor: dict[int, Verdict] = {}
    preferred: set[int] = set()
    for row, (photo, measurement) in enumerate(zip(evidence.photos, evidence.measurements, strict=True)):
        face = int(subject.face[row]) if subject.face[row] >= 0 else None
        scores = _scores(measurement, face, float(likeness[row]))
        told = overrides.get(photo.sha256, _NO_OVERRIDE)
        keep = told.keep
        verdict = Verdict(photo, Reason.KEPT, subject=face, scores=scores)
        if keep is not None:
            verdict = replace(verdict, reason=Reason.BY_USER, scores={**scores, "keep": float(keep)})
            verdicts[row] = verdict
            if keep:
                good.append(row)
            continue
        reason = _person_fault(measurement, face, settings)
        if reason is not None:
            verdicts[row] = replace(verdict, reason=reason)
            continue
        verdicts[row] = verdict
        if told.prefer:
            preferred.add(row)
            good.append(row)
            continue
        fault = _quality_fault(measurement, face, _crop(crops, evidence, row, face, settings), settings)
        if fault is None:
            good.append(row)
        else:
            poor[row] = verdicts[row] = replace(verdict, reason=fault[0], note=fault[1])
    verdicts.update(
        _without_repeats(evidence, settings, calibration, subject, verdicts, good, poor, preferred)
    )
    if settings.target_count:
        _cut_to_target(verdicts, settings.target_count)
    return {verdict.photo.sha256: verdict for verdict in verdicts.values()}


def _scores(measurement: Measurement, face: int | None, likeness: float) -> dict[str, float]:
    scores = {
        "width": float(measurement.width),
        "height": float(measurement.height),
        "sharpness": round(measurement.sharpness, 4),
        "brightness": round(measurement.exposure.brightness, 4),
    }
    if measurement.faces:
        scores["subject_similarity"] = round(likeness, 4)
    if face is not None:
        chosen = measurement.faces[face]
        scores["face_sharpness"] = round(chosen.sharpness, 4)
        scores["face_brightness"] = round(chosen.brightness, 4)
        scores["yaw"] = round(chosen.pose.yaw, 1)
    return scores


def _person_fault(measurement: Measurement, face: int | None, settings: Settings) -> Reason | None:
    if face is not None:
        return None
    if measurement.faces:
        return Reason.OTHER_PERSON
    back = any(body.face is None for body in measurement.bodies)
    return None if back and settings.back_views == "keep" else Reason.NO_PERSON


def _quality_fault(
    measurement: Measurement, face: int | None, crop: Crop | None, settings: Settings
) -> tuple[Reason, str] | None:
    if crop is None:
        return Reason.TOO_SMALL, ""
    if face is None:
        return None
    chosen = measurement.faces[face]
    if settings.several_people == "drop" and others_inside(measurement, face, crop.box):
        return Reason.SEVERAL_PEOPLE, ""
    if not settings.min_brightness <= chosen.brightness <= settings.max_brightness:
        return Reason.BADLY_EXPOSED, ""
    if chosen.sharpness < settings.min_face_sharpness:
        return Reason.BLURRY, ""
    return None


def _crops(evidence: Evidence, settings: Settings) -> dict[tuple[int, int], Crop | None]:
    key = (settings.sizes, settings.max_upscale, settings.small_photos, settings.min_side)
    return evidence.crops.setdefault(key, {})


def _crop(
    crops: dict[tuple[int, int], Crop | None],
    evidence: Evidence,
    row: int,
    face: int | None,
    settings: Settings,
) -> Crop | None:
    key = (row, -1 if face is None else face)
    if key not in crops:
        crops[key] = frame(evidence.measurements[row], face, settings)
    return crops[key]


def _best_first(evidence: Evidence, verdict: Verdict, row: int) -> tuple[object, ...]:
    """Sort key: the user's own choice, open eyes, resolution, lossless, sharpness, bytes, name.

    Resolution and sharpness go in steps, so that noise in one does not outrank the next.
    """
    measurement = evidence.measurements[row]
    face = measurement.faces[verdict.subject] if verdict.subject is not None else None
    blink = face is not None and face.eyes_open is not None and face.eyes_open < EYES_CLOSED
    sharpness = face.sharpness if face is not None else measurement.sharpness
    return (
        verdict.reason is not Reason.BY_USER,
        blink,
        -round(4 * math.log2(measurement.width * measurement.height)),
        measurement.format not in LOSSLESS,
        -round(5 * math.log(max(sharpness, 1e-6))),
        -verdict.photo.bytes,
        verdict.photo.source.name,
    )


def _without_repeats(
    evidence: Evidence,
    settings: Settings,
    calibration: Calibration,
    subject: Subject,
    verdicts: Mapping[int, Verdict],
    good: Sequence[int],
    poor: Mapping[int, Verdict],
    preferred: Collection[int],
) -> dict[int, Verdict]:
    """New verdicts for the photos that repeat a kept one."""
    near, shot = _repeats(evidence, settings, calibration, subject)
    changed: dict[int, Verdict] = {}
    kept: set[int] = set()
    for row in sorted(
        good, key=lambda row: (row not in preferred, *_best_first(evidence, verdicts[row], row))
    ):
        verdict = verdicts[row]
        same = {other: figures for other, figures in near[row].items() if other in kept}
        takes = {other: figures for other, figures in shot[row].items() if other in kept}
        reason = None
        if same:
            reason, takes = Reason.NEAR_DUPLICATE, same
        elif len(takes) >= settings.keep_per_cluster:
            reason = Reason.SAME_SHOT
        if reason is None or verdict.reason is Reason.BY_USER:
            kept.add(row)
            continue
        changed[row] = _repeat_of(evidence, verdict, reason, takes)
    for row, verdict in poor.items():
        # What is wrong with a copy matters less than that its better original is there.
        same = {other: figures for other, figures in near[row].items() if other in kept}
        if same:
            changed[row] = _repeat_of(evidence, replace(verdict, note=""), Reason.NEAR_DUPLICATE, same)
    return changed


def _repeat_of(
    evidence: Evidence, verdict: Verdict, reason: Reason, same: Mapping[int, dict[str, float]]
) -> Verdict:
    keeper = max(same, key=lambda row: (same[row]["picture_ssim"], evidence.photos[row].source.name))
    scores = {**verdict.scores, **same[keeper]}
    return replace(verdict, reason=reason, because_of=evidence.photos[keeper].source.name, scores=scores)


_Repeats = defaultdict[int, dict[int, dict[str, float]]]


def _repeats(
    evidence: Evidence, settings: Settings, calibration: Calibration, subject: Subject
) -> tuple[_Repeats, _Repeats]:
    """For each photo the photos that are the same picture, and those of the same shot, with figures."""
    near: _Repeats = defaultdict(dict)
    shot: _Repeats = defaultdict(dict)
    is_near = (evidence.hash_distance <= settings.phash_threshold) & (
        evidence.picture_ssim >= settings.near_ssim_th
    )
    figures = _shot_figures(evidence, calibration, subject)
    proof = np.where(
        figures["face_similarity"] >= settings.face_sim_th2, settings.face_ssim_th1, settings.face_ssim_th2
    )
    is_shot = (
        (figures["face_similarity"] >= settings.face_sim_th1)
        & (figures["face_ssim"] >= proof)
        & (figures["pose_similarity"] >= settings.pose_sim_th)
        & (figures["center_apart"] <= settings.bbox_tol_c)
        & (figures["size_apart"] <= settings.bbox_tol_wh)
        & ~(figures["seconds_apart"] > SAME_MOMENT_SECONDS)
    )
    for index in np.flatnonzero(is_near | is_shot):
        left, right = (int(i) for i in evidence.pairs[index])
        row = {
            "hash_distance": float(evidence.hash_distance[index]),
            "picture_ssim": round(float(evidence.picture_ssim[index]), 4),
        }
        if is_shot[index]:
            row |= {name: round(float(v[index]), 4) for name, v in figures.items() if np.isfinite(v[index])}
        for one, other in ((left, right), (right, left)):
            (near if is_near[index] else shot)[one][other] = row
    return near, shot


def _shot_figures(evidence: Evidence, calibration: Calibration, subject: Subject) -> dict[str, Floats]:
    """Figures of every candidate pair about the subject's two faces; NaN where one has none."""
    key = subject.face.tobytes()
    if key in evidence.shots:
        return evidence.shots[key]
    names = ("face_similarity", "face_ssim", "pose_similarity", "center_apart", "size_apart", "seconds_apart")
    figures = {name: np.full(len(evidence.pairs), np.nan, dtype=np.float32) for name in names}
    both = np.flatnonzero((subject.face[evidence.pairs] >= 0).all(axis=1))
    if len(both):
        used, inverse = np.unique(evidence.pairs[both], return_inverse=True)
        left, right = inverse.reshape(-1, 2).T
        faces = [evidence.measurements[row].faces[subject.face[row]] for row in used]
        embeddings = np.array([face.embedding for face in faces])
        cosine = np.einsum("nd,nd->n", embeddings[left], embeddings[right])
        figures["face_similarity"][both] = calibration.similarity(cosine)
        figures["face_ssim"][both] = ssim(np.array([face.grey for face in faces]), np.stack([left, right], 1))
        angles = np.array([(f.pose.yaw, f.pose.pitch, f.pose.roll) for f in faces], dtype=np.float32)
        turned = np.abs(angles[left] - angles[right]).max(axis=1)
        figures["pose_similarity"][both] = np.clip(1 - turned / POSE_SPAN, 0, 1)
        placed = np.array(
            [_placed(evidence.measurements[row], face) for row, face in zip(used, faces, strict=True)]
        )
        apart = np.abs(placed[left] - placed[right])
        figures["center_apart"][both] = apart[:, :2].max(axis=1)
        figures["size_apart"][both] = apart[:, 2:4].max(axis=1)
        figures["seconds_apart"][both] = apart[:, 4]
    evidence.shots[key] = figures
    return figures


def _placed(measurement: Measurement, face: Face) -> tuple[float, ...]:
    """Centre and size of the face as shares of the picture, and the time, NaN if unknown."""
    x, y = face.box.center
    width, height = measurement.width, measurement.height
    time = math.nan if measurement.captured_at is None else measurement.captured_at
    return x / width, y / height, face.box.width / width, face.box.height / height, time


def _cut_to_target(verdicts: dict[int, Verdict], target: int) -> None:
    """Keeps `target` photos, taking in turn the most certain of each view; the rest is over target."""
    views: defaultdict[int, list[int]] = defaultdict(list)
    kept = [row for row, verdict in verdicts.items() if verdict.kept]
    order = sorted(
        kept,
        key=lambda row: (
            verdicts[row].reason is not Reason.BY_USER,
            -verdicts[row].scores.get("subject_similarity", 0),
            verdicts[row].photo.source.name,
        ),
    )
    for row in order:
        views[round(verdicts[row].scores.get("yaw", 0) / 30)].append(row)
    rank = {
        row: (place, i)
        for view in views.values()
        for place, row in enumerate(view)
        for i in [order.index(row)]
    }
    chosen = set(
        sorted(kept, key=lambda row: (verdicts[row].reason is not Reason.BY_USER, rank[row]))[:target]
    )
    names = {verdicts[row].photo.source.name for row in chosen}
    for row, verdict in verdicts.items():
        lost = verdict.because_of is not None and verdict.because_of not in names
        if (row in kept and row not in chosen and verdict.reason is not Reason.BY_USER) or lost:
            verdicts[row] = replace(verdict, reason=Reason.OVER_TARGET, because_of=None)
