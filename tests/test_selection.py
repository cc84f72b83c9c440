"""The best N: bound, quotas, the user's own choices, and what each pick is for."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lora_builder.decide import decide
from lora_builder.records import HeadPose, Override, Reason, Shot
from lora_builder.selection import TRAITS, Traits, choose, quotas_of, stand_in, worth
from lora_builder.settings import load
from tests.made import CALIBRATION, face, measurement, photo


def random_traits(seed: int, count: int) -> Traits:
    rng = np.random.default_rng(seed)
    framing = tuple(rng.choice([Shot.FACE, Shot.BUST, Shot.BODY], count))
    classes = rng.integers(0, 4, (count, len(TRAITS))).astype(np.intp)
    return Traits(classes, rng.random(count), framing)


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), target=st.integers(1, 4))
def test_the_chosen_set_holds_its_bound(seed: int, target: int) -> None:
    """Against every set there is: never below 1 - 1/e of the best, and in fact near it."""
    traits = random_traits(seed, 9)
    best = max(worth(traits, rows) for rows in itertools.combinations(range(9), target))
    ours = worth(traits, [pick.row for pick in choose(traits, target)])
    assert ours >= (1 - 1 / math.e) * best
    assert ours >= 0.9 * best


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_quotas_cap_each_framing_and_hold_the_matroids_bound(seed: int) -> None:
    """At most two of each framing of four: at least half the best such set."""
    traits = random_traits(seed, 9)
    quotas = {Shot.FACE: 0.5, Shot.BUST: 0.5, Shot.BODY: 0.5}

    def fits(rows: tuple[int, ...]) -> bool:
        framing = [traits.framing[row] for row in rows]
        return all(framing.count(kind) <= 2 for kind in quotas)

    sets = [rows for rows in itertools.combinations(range(9), 4) if fits(rows)]
    rows = [pick.row for pick in choose(traits, 4, quotas=quotas)]
    if sets:
        assert fits(tuple(rows))
        assert worth(traits, rows) >= 0.5 * max(worth(traits, other) for other in sets)


def test_what_a_quota_cannot_fill_the_others_fill() -> None:
    """Asked for bodies of which there are none, the set is still as large as asked for."""
    traits = random_traits(1, 12)
    faces_only = Traits(traits.classes, traits.quality, (Shot.FACE,) * 12)
    assert len(choose(faces_only, 6, quotas=quotas_of(("face=50", "body=50")))) == 6


def test_what_the_user_keeps_comes_first() -> None:
    """The optimiser builds around the user's own choices."""
    traits = random_traits(2, 12)
    assert [pick.row for pick in choose(traits, 4, must=(7, 3))][:2] == [3, 7]


def test_a_passed_over_photo_is_told_which_one_stands_for_it() -> None:
    """Two photos with the same traits: the one left out names the other."""
    traits = random_traits(3, 6)
    classes = traits.classes.copy()
    classes[5] = classes[0]
    same = Traits(classes, np.array([1.0, 0, 0, 0, 0, 0.5]), traits.framing)
    picks = choose(same, 3)
    assert 5 not in [pick.row for pick in picks]
    assert stand_in(same, 5, picks) == 0


def test_the_best_n_vary_in_view() -> None:
    """Of eight frontal photos and two turned ones, three chosen show a turned face."""
    looks = {
        f"{i:x}": measurement(f"{i:x}", face(1, take=i, pose=HeadPose(40 if i > 8 else 0, 0, 0)))
        for i in range(1, 11)
    }
    photos = [photo(f"{sha}.jpg", sha) for sha in looks]
    verdicts = decide(photos, looks, load(target_count=3), CALIBRATION, {"1": Override(keep=True)})
    kept = {verdict.photo.sha256: verdict for verdict in verdicts if verdict.kept}
    assert len(kept) == 3 and "1" in kept and kept.keys() & {"9", "a"}
    over = [verdict for verdict in verdicts if verdict.reason is Reason.OVER_TARGET]
    assert len(over) == 7
    names = {verdict.photo.source.name for verdict in kept.values()}
    assert {verdict.because_of for verdict in over} <= names
