"""How much two photos are alike, in figures: compared once for each pair that may be a repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lora_builder.grouping import FaceTable
from lora_builder.looks import Looks, Pictures
from lora_builder.neighbours import Pairs, shared_out
from lora_builder.records import Floats
from lora_builder.similarity import (
    LOT,
    Sketches,
    correlation_shifted,
    sketches,
    ssim,
    ssim_shifted,
    ssim_turned,
)

SAME_FACE = 0.88
"""Cosine of two faces from which one may be cut out of the other's photo."""

FACES = 3
"""Faces of each photo that are compared, the largest ones."""

TELLING_SIDE = 48.0
"""Pixels of the analysis picture from which a face is large enough to say that two moments differ."""

ANALYSED = 1280.0
"""Side of the analysis picture, pixels, by which `TELLING_SIDE` is meant."""

COMPARED_BITS = 12
"""Hash distance up to which pictures are compared pixel by pixel, so that the slider costs nothing."""

COMPARED_FACE, COMPARED_APART, COMPARED_POSE = 0.60, 0.20, 0.50
"""The same for two takes of one shot: least cosine, most distance and size difference, least pose."""

MOVING_FACE = 0.80
"""Cosine of two telling faces below which no shift makes one moment of two pictures."""

MOVING_SKETCH = 0.30
"""Correlation of two shifted sketches below which pictures are not worth comparing after a shift: pairs that
are 0.6 alike correlate by 0.39 and more, 0.5 alike by 0.34 (`accuracy.py --only sketches`)."""

POSE_SPAN = 45.0
"""Degrees of head rotation between two photos at which their pose similarity is 0."""


@dataclass(frozen=True, eq=False)
class PairFigures:
    """How much pairs of photos are alike; (n,) each, NaN where it was not worth comparing.

    `bits`: between the hashes. `picture`, `shifted`, `turned`: structural similarity as they are, after
    the best shift, and laid as `TURNS[turn]`. `cosine`, `face`, `pose`: of the two faces most alike:
    recognition, structural similarity, head pose. `center`, `size`: how far those faces are apart and
    differ in size, as shares of the picture. `telling`: whether both are large enough to count.
    `seconds`: between the exposures.
    """

    pairs: Pairs
    bits: Floats
    picture: Floats
    shifted: Floats
    turned: Floats
    turn: NDArray[np.intp]
    cosine: Floats
    face: Floats
    pose: Floats
    center: Floats
    size: Floats
    telling: NDArray[np.bool_]
    seconds: Floats

    @classmethod
    def of(cls, parts: Sequence[PairFigures]) -> PairFigures:
        """The figures of one lot of pairs after the other."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def only(self, chosen: NDArray[np.bool_]) -> PairFigures:
        """The figures of those pairs."""
        return PairFigures(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    @property
    def tells(self) -> NDArray[np.bool_]:
        """(n,): whether anything was worth comparing; other pairs are no repetition of any kind."""
        compared = (self.picture, self.shifted, self.turned, self.face)
        result: NDArray[np.bool_] = ~np.logical_and.reduce([np.isnan(figure) for figure in compared])
        return result


@dataclass(frozen=True, eq=False)
class Comparer:
    """What is compared, by photo (n,) and by face, in the order of `faces`.

    `rows`, `faces.row`: where their pictures are. `slots` (n, FACES): the largest faces of each photo,
    -1 where there are fewer. `place` (faces, 4): centre and size as shares of the picture. `angle`
    (faces, 3): degrees. `telling` (faces,): whether large enough to count.
    """

    rows: NDArray[np.intp]
    hashes: NDArray[np.uint64]
    times: NDArray[np.float64]
    faces: FaceTable
    slots: NDArray[np.intp]
    place: Floats
    angle: Floats
    telling: NDArray[np.bool_]
    greys: Pictures
    face_greys: Pictures

    @classmethod
    def of(cls, looks: Looks, rows: NDArray[np.intp], faces: FaceTable) -> Comparer:
        photos, columns = looks.photos[rows], looks.faces[faces.row]
        most = max(1, min(FACES, int(photos["faces"].max(initial=0))))
        first = np.flatnonzero(faces.index < most)
        slots = np.full((len(rows), most), -1, dtype=np.intp)
        slots[faces.photo[first], faces.index[first]] = first
        sides = np.stack([photos["width"], photos["height"]], axis=1)[faces.photo].astype(np.float64)
        corner, size = columns["box"][:, :2], columns["box"][:, 2:]
        scale = np.minimum(1.0, ANALYSED / sides.max(axis=1, initial=0))
        return cls(
            rows,
            photos["phash"],
            photos["captured_at"],
            faces,
            slots,
            np.concatenate([(corner + size / 2) / sides, size / sides], axis=1).astype(np.float32),
            columns["pose"].astype(np.float32),
            size.min(axis=1, initial=np.inf) * scale >= TELLING_SIDE,
            looks.greys,
            looks.face_greys,
        )

    @cached_property
    def sketches(self) -> Sketches:
        """(n, 16, 16), of each photo."""
        return sketches(self.greys, self.rows)

    def compare(self, pairs: Pairs) -> PairFigures:
        """The figures of these pairs, in their order."""
        return PairFigures.of(self._lots(self._compare, pairs))

    def compare_telling(self, pairs: Pairs) -> PairFigures:
        """The figures of those of these pairs that were worth comparing, in their order."""

        def compare(lot: Pairs) -> PairFigures:
            found = self._compare(lot)
            return found.only(found.tells)

        return PairFigures.of(self._lots(compare, pairs))

    def _lots(self, compare: Callable[[Pairs], PairFigures], pairs: Pairs) -> list[PairFigures]:
        self.sketches  # noqa: B018 -- drawn by all cores, before each of them works on a lot of pairs
        lots = [pairs[begin : begin + LOT] for begin in range(0, len(pairs), LOT)] or [pairs]
        return shared_out(compare, lots)

    def compare_turned(self, pairs: Pairs, turn: NDArray[np.intp]) -> Floats:
        """The structural similarity of pairs, the second one laid as `TURNS[turn]`."""
        return ssim_turned(self.greys, self.rows[pairs], turn)

    def _compare(self, pairs: Pairs) -> PairFigures:
        left, right = pairs.T
        one, other, cosine = self._faces_most_alike(left, right)
        there = np.isfinite(cosine)
        bits = np.bitwise_count(self.hashes[left] ^ self.hashes[right]).astype(np.float32)
        center, size, pose = (np.full(len(pairs), np.nan, np.float32) for _ in range(3))
        telling = np.zeros(len(pairs), dtype=bool)
        if there.any():
            first, second = one[there], other[there]
            apart = np.abs(self.place[first] - self.place[second])
            turned = np.abs(self.angle[first] - self.angle[second]).max(axis=1)
            center[there], size[there] = apart[:, :2].max(axis=1), apart[:, 2:].max(axis=1)
            pose[there] = np.clip(1 - turned / POSE_SPAN, 0, 1)
            telling[there] = self.telling[first] & self.telling[second]
        near = (center <= COMPARED_APART) & (size <= COMPARED_APART) & (pose >= COMPARED_POSE)
        faced = (cosine >= SAME_FACE) | ((cosine >= COMPARED_FACE) & near)
        nothing = np.full(len(pairs), np.nan, np.float32)
        face, picture, shifted = nothing.copy(), nothing.copy(), nothing.copy()
        both = np.stack([one, other], axis=1)[faced]
        face[faced] = ssim(self.face_greys, self.faces.row[both])
        same = bits <= COMPARED_BITS
        picture[same] = ssim(self.greys, self.rows[pairs[same]])
        moved = np.flatnonzero(~telling | (cosine >= MOVING_FACE))
        moved = moved[correlation_shifted(self.sketches, pairs[moved]) >= MOVING_SKETCH]
        shifted[moved] = ssim_shifted(self.greys, self.rows[pairs[moved]])
        seconds = np.abs(self.times[left] - self.times[right])
        unlaid = np.full(len(pairs), -1, np.intp)
        return PairFigures(
            pairs, bits, picture, shifted, nothing, unlaid, cosine, face, pose, center, size, telling, seconds
        )

    def _faces_most_alike(
        self, left: NDArray[np.intp], right: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Of each pair of photos the two faces most alike, and their cosine: NaN without faces."""
        ours, theirs = self.slots[left], self.slots[right]
        most = self.slots.shape[1]
        if not len(self.faces.embeddings):
            nobody = np.full(len(left), -1, dtype=np.intp)
            return nobody, nobody, np.full(len(left), np.nan, np.float32)
        embeddings = self.faces.embeddings
        alike = np.einsum("nid,njd->nij", embeddings[ours], embeddings[theirs])
        alike[(ours < 0)[:, :, None] | (theirs < 0)[:, None, :]] = 0
        best = alike.reshape(len(left), most * most).argmax(axis=1)
        one, other = np.divmod(best, most)
        each = np.arange(len(left))
        first, second = ours[each, one], theirs[each, other]
        cosine = np.where((first >= 0) & (second >= 0), alike[each, one, other], np.nan)
        return first, second, cosine.astype(np.float32)
