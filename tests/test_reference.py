"""Deciding against a plain reference: every pair looked at, every formula written out, nothing fast."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import fft

from lora_builder import evidence, figures, neighbours, redundancy
from lora_builder.decide import decide, gather
from lora_builder.records import Box, HeadPose, Look, Measurement, Photo, Reason, Verdict
from lora_builder.redundancy import Kind, merits_of
from lora_builder.settings import Settings, load
from lora_builder.similarity import LEAST_OVERLAP, TURNS, lay
from tests.made import CALIBRATION, face, measurement, person, photo, picture

REPEATED = (Reason.NEAR_DUPLICATE, Reason.SAME_SHOT)


def toned(grey: np.ndarray) -> np.ndarray:
    values = grey.astype(float)
    return (values - values.mean()) / max(values.std(), 4.0) * 0.25 + 0.5


def windows_alike(one: np.ndarray, other: np.ndarray, whole: np.ndarray) -> float:
    """The mean SSIM of the 8x8 windows that lie wholly in `whole`."""
    found = []
    for row, column in itertools.product(range(0, 64, 8), repeat=2):
        part = np.s_[row : row + 8, column : column + 8]
        if whole[part].all():
            a, b = one[part].ravel(), other[part].ravel()
            light = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
            both = ((a - a.mean()) * (b - b.mean())).mean()
            found.append(light * (2 * both + 9e-4) / (a.var() + b.var() + 9e-4))
    return float(np.mean(found)) if len(found) >= LEAST_OVERLAP * 64 else -1.0


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return windows_alike(toned(one), toned(other), np.ones((64, 64), bool))


def alike_shifted(one: np.ndarray, other: np.ndarray) -> float:
    left, right = toned(one), toned(other)
    crossed = np.fft.ifft2(np.fft.fft2(left - 0.5) * np.conj(np.fft.fft2(right - 0.5))).real
    down, over = ((int(step) + 32) % 64 - 32 for step in np.unravel_index(crossed.argmax(), (64, 64)))
    rows, columns = np.arange(64) - down, np.arange(64) - over
    inside = np.outer((rows >= 0) & (rows < 64), (columns >= 0) & (columns < 64))
    moved = np.roll(right, (down, over), (0, 1))
    shown = []
    for values in (left, moved):
        centred = values - values[inside].mean()
        shown.append(centred * 0.25 / max(values[inside].std(), 0.02) + 0.5)
    return windows_alike(*shown, inside)


def blurred(grey: np.ndarray) -> np.ndarray:
    waves = fft.dctn(grey.astype(float), norm="ortho")[:7, :7].ravel()[1:]
    return waves / np.linalg.norm(waves)


@dataclass(frozen=True)
class Pair:
    """The figures of two photos; NaN where they are not compared."""

    bits: int
    picture: float
    shifted: float
    turned: float
    cosine: float
    face: float
    pose: float
    center: float
    size: float
    telling: bool
    seconds: float

    @classmethod
    def of(cls, one: Measurement, other: Measurement) -> Pair:
        bits = (one.phash ^ other.phash).bit_count()
        cosine = face_ = pose = center = size = math.nan
        telling = False
        if one.faces and other.faces:
            left, right = one.faces[0], other.faces[0]
            cosine = float(left.embedding @ right.embedding)
            turned = max(
                abs(getattr(left.pose, axis) - getattr(right.pose, axis)) for axis in ("yaw", "pitch", "roll")
            )
            pose = min(max(1 - turned / figures.POSE_SPAN, 0), 1)
            places = [
                (*(np.array(f.box.center) / sides), *(np.array(f.box[2:]) / sides))
                for f, sides in ((left, (one.width, one.height)), (right, (other.width, other.height)))
            ]
            apart = [abs(a - b) for a, b in zip(*places, strict=True)]
            center, size = max(apart[:2]), max(apart[2:])
            telling = all(
                min(f.box.width, f.box.height) * min(1, 1280 / max(m.width, m.height)) >= 48
                for m, f in ((one, left), (other, right))
            )
            near = center <= 0.2 and size <= 0.2 and pose >= 0.5
            if cosine >= figures.SAME_FACE or (cosine >= 0.6 and near):
                face_ = alike(left.grey, right.grey)
        picture_ = alike(one.grey, other.grey) if bits <= 12 else math.nan
        moved = not telling or cosine >= figures.MOVING_FACE
        shifted = alike_shifted(one.grey, other.grey) if moved else math.nan
        best = max(float(blurred(one.grey) @ blurred(lay(other.grey, turn))) for turn in TURNS)
        laid = math.nan
        if best >= evidence.SAME_TURNED and best > blurred(one.grey) @ blurred(other.grey):
            turn = max(TURNS, key=lambda turn: blurred(one.grey) @ blurred(lay(other.grey, turn)))
            laid = alike(one.grey, lay(other.grey, turn))
        clocks = one.captured_at, other.captured_at
        seconds = math.nan if None in clocks else abs(clocks[0] - clocks[1])  # type: ignore[operator]
        return cls(bits, picture_, shifted, laid, cosine, face_, pose, center, size, telling, seconds)

    def kinds(self, settings: Settings) -> set[Kind]:
        """Every kind of repetition that these figures pass the thresholds of."""
        known = math.isfinite(self.cosine)
        same = float(CALIBRATION.similarity(np.array([self.cosine]))[0]) if known else math.nan
        at_once = not self.seconds > redundancy.SAME_MOMENT_SECONDS
        strong = same >= settings.face_sim_th2
        found = {
            Kind.COPY: self.bits <= settings.phash_threshold
            and self.picture >= settings.near_ssim_th
            and (not self.telling or strong),
            Kind.TURNED: self.turned >= settings.near_ssim_th,
            Kind.CROP: same >= settings.crop_sim_th and self.face >= settings.crop_ssim_th,
            Kind.BURST: self.shifted >= settings.burst_ssim_th
            and (not self.telling or same >= settings.burst_sim_th)
            and at_once,
            Kind.TAKE: same >= settings.face_sim_th1
            and self.face >= (settings.face_ssim_th1 if strong else settings.face_ssim_th2)
            and self.pose >= settings.pose_sim_th
            and self.center <= settings.bbox_tol_c
            and self.size <= settings.bbox_tol_wh
            and at_once,
        }
        return {kind for kind, passes in found.items() if passes and kind.value in settings.duplicates}


def nominated(one: Measurement, other: Measurement) -> bool:
    """Whether a pair is worth comparing upright: one scene, or one face in one expression."""
    if blurred(one.grey) @ blurred(other.grey) >= evidence.SAME_SCENE:
        return True
    if not (one.faces and other.faces):
        return False
    left, right = one.faces[0], other.faces[0]
    weight = evidence.FACE_WEIGHT
    both = weight * left.embedding @ right.embedding + (1 - weight) * blurred(left.grey) @ blurred(right.grey)
    return bool(both >= weight * figures.SAME_FACE + (1 - weight) * evidence.SAME_LOOK)


def plain_pairs(looks: list[Measurement]) -> dict[tuple[int, int], Pair]:
    """All pairs that are compared."""
    every = list(itertools.combinations(range(len(looks)), 2))
    figures_ = {pair: Pair.of(looks[pair[0]], looks[pair[1]]) for pair in every}
    found = {pair for pair in every if nominated(looks[pair[0]], looks[pair[1]])}
    group = list(range(len(looks)))
    for one, other in found:
        pair = figures_[one, other]
        if pair.shifted >= evidence.HANGS_TOGETHER or pair.face >= evidence.HANGS_TOGETHER:
            group = [group[one] if label == group[other] else label for label in group]
    together = {(i, j) for i, j in every if group[i] == group[j] and group.count(group[i]) > 2}
    upright = found | together
    return {
        pair: f if pair in upright else replace(f, picture=math.nan, shifted=math.nan, face=math.nan)
        for pair, f in figures_.items()
        if pair in upright or math.isfinite(f.turned)
    }


def plainly(
    photos: list[Photo], looks: dict[str, Look], settings: Settings
) -> list[tuple[Reason, str | None]]:
    """Reason and keeper by photo: what each is by itself, and then, best first, what repeats what."""
    alone = decide(photos, looks, settings.model_copy(update={"duplicates": ()}), CALIBRATION)
    measured = [looks[verdict.photo.sha256] for verdict in alone]
    pairs = plain_pairs(measured)  # type: ignore[arg-type]
    how: dict[int, dict[int, Kind]] = {row: {} for row in range(len(alone))}
    for (one, other), pair in pairs.items():
        kinds = pair.kinds(settings)
        if kinds:
            how[one][other] = how[other][one] = min(kinds, key=list(Kind).index)
    whole = gather(photos, looks)

    def rank(row: int) -> tuple[object, ...]:
        verdict = alone[row]
        merits = merits_of(whole, row, -1 if verdict.subject is None else verdict.subject)
        return merits, -len(how[row]), -verdict.photo.bytes, verdict.photo.source.name

    result = [(verdict.reason, verdict.because_of) for verdict in alone]
    kept: set[int] = set()
    for row in sorted((row for row, verdict in enumerate(alone) if verdict.kept), key=rank):
        same = {other: kind for other, kind in how[row].items() if other in kept}
        firm = {other: kind for other, kind in same.items() if kind is not Kind.TAKE}
        if not firm and len(same) < settings.keep_per_cluster:
            kept.add(row)
            continue

        def strength(other: int, chosen: dict[int, Kind] = firm or same, row: int = row) -> tuple[float, ...]:
            f = pairs[min(row, other), max(row, other)]
            seen = [v for v in (f.picture, f.turned, f.shifted, f.face) if math.isfinite(v)]
            return -chosen[other].code, round(max(seen), 5), -other

        best = max(firm or same, key=strength)
        result[row] = (firm or same)[best].reason, alone[best].photo.source.name
    return result


def mixture(seed: int) -> tuple[list[Photo], dict[str, Look]]:
    """Photos of one person: originals, copies, mirrored ones, bursts, takes, with and without faces."""
    rng = np.random.default_rng(seed)
    looks: dict[str, Look] = {}
    for i in range(1, 15):
        sha256, scene = f"{i:x}", int(rng.integers(5))
        box = Box(float(rng.integers(500, 900)), 600, 400, 500)
        pose = HeadPose(float(rng.integers(-20, 20)), 0, 0)
        who = face(
            1,
            grey=int(rng.integers(3)),
            box=box,
            pose=pose,
            embedding=person(1, 0.45, int(rng.integers(6))),
            sharpness=float(rng.uniform(0.3, 2)),
        )
        faces = (who,) if rng.random() < 0.8 else ()
        moment = None if rng.random() < 0.3 else float(rng.integers(0, 200))
        look = measurement(sha256, *faces, scene=scene, phash=scene * 0x0F0F1133, captured_at=moment)
        change = rng.integers(5)
        grey = (
            np.roll(picture(scene), tuple(rng.integers(-6, 7, 2)), (0, 1)) if change == 1 else picture(scene)
        )
        grey = grey[:, ::-1] if change == 2 else grey
        noisy = np.clip(grey + rng.normal(0, 12 * rng.random(), grey.shape), 0, 255).astype(np.uint8)
        hashed = look.phash ^ (int(rng.integers(2**16)) if change == 3 else 1 << int(rng.integers(40)))
        looks[sha256] = replace(look, grey=noisy, phash=hashed)
    return [photo(f"{sha}.jpg", sha, size=1000 + int(sha, 16)) for sha in looks], looks


@hypothesis_settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    keep=st.integers(1, 3),
    kinds=st.sampled_from(
        [tuple(kind.value for kind in Kind), ("take",), ("burst", "turned"), ("copy", "crop")]
    ),
    about=st.sampled_from(["person", "anything"]),
)
def test_the_verdicts_are_those_of_looking_at_every_pair(
    seed: int, keep: int, kinds: tuple[str, ...], about: str
) -> None:
    """However deciding is made fast: reasons and keepers are those of the plain double loop."""
    photos, looks = mixture(seed)
    settings = load(keep_per_cluster=keep, duplicates=kinds, about=about)
    verdicts = decide(photos, looks, settings, CALIBRATION)
    assert [(v.reason, v.because_of) for v in verdicts] == plainly(photos, looks, settings)


@pytest.mark.parametrize("exact", [0, neighbours.EXACT])
@pytest.mark.parametrize("seed", range(3))
def test_a_dropped_photo_and_its_keeper_pass_the_thresholds_themselves(
    seed: int, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No chains: the two photos alone, measured again pair by pair, are a repetition of that kind, and
    the keeper is kept; also where neighbours are looked for in cells only."""
    monkeypatch.setattr(neighbours, "EXACT", exact)
    monkeypatch.setattr(neighbours, "PROBES", 2)
    settings = load(keep_per_cluster=1)
    photos, looks = mixture(seed)
    verdicts = {v.photo.source.name: v for v in decide(photos, looks, settings, CALIBRATION)}
    dropped = [v for v in verdicts.values() if v.reason in REPEATED]
    assert dropped
    for verdict in dropped:
        keeper: Verdict = verdicts[verdict.because_of or ""]
        assert keeper.kept
        one, other = sorted((verdict, keeper), key=lambda v: v.photo.source.name)
        pair = Pair.of(looks[one.photo.sha256], looks[other.photo.sha256])  # type: ignore[arg-type]
        kind = list(Kind)[int(verdict.scores["kind"]) - 1]
        assert kind in pair.kinds(settings) and kind.reason is verdict.reason
