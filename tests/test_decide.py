from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lora_builder.decide import decide, gather
from lora_builder.identity import people_found
from lora_builder.looks import Looks
from lora_builder.records import (
    Box,
    Exposure,
    HeadPose,
    Look,
    Measurement,
    Override,
    Photo,
    Reason,
    Rejected,
    Verdict,
)
from lora_builder.settings import Settings, load
from tests.made import CALIBRATION, face, measurement, person, photo

DEFAULTS = load()


def judge(
    looks: dict[str, Look], settings: Settings = DEFAULTS, photos: list[Photo] | None = None, **more: object
) -> dict[str, Verdict]:
    photos = photos or [
        photo(f"{name}.jpg", sha) for name, sha in zip("abcdefghijklmnop", looks, strict=False)
    ]
    verdicts = decide(photos, looks, settings, CALIBRATION, **more)  # type: ignore[arg-type]
    return {verdict.photo.source.name.removesuffix(".jpg"): verdict for verdict in verdicts}


def several(count: int, seed: int = 1) -> dict[str, Look]:
    """Distinct photos of one person."""
    return {f"{i:x}": measurement(f"{i:x}", face(seed, take=i)) for i in range(1, count + 1)}


def test_distinct_photos_of_one_person_are_all_kept() -> None:
    """However alike the face: the same person is not the same picture."""
    assert all(verdict.reason is Reason.KEPT for verdict in judge(several(8)).values())


def test_the_most_frequent_person_is_the_subject() -> None:
    """Photos of somebody else, and of nobody, are dropped and say so."""
    looks = several(5) | {
        "a": measurement("a", face(2, take=1)),
        "b": measurement("b", face(2, take=2)),
        "c": measurement("c"),
    }
    verdicts = judge(looks)
    assert [verdicts[name].reason for name in "abcde"] == [Reason.KEPT] * 5
    assert verdicts["f"].reason is verdicts["g"].reason is Reason.OTHER_PERSON
    assert verdicts["h"].reason is Reason.NO_PERSON


def test_references_name_the_subject_even_in_the_minority() -> None:
    """Two photos of the referenced person are found among five of another."""
    looks = several(5) | {f"{i:x}": measurement(f"{i:x}", face(2, take=i)) for i in (10, 11)}
    verdicts = judge(looks, references=[person(2, take=99)])
    assert [verdicts[name].kept for name in "abcdefg"] == [False] * 5 + [True] * 2


def test_the_right_face_of_a_group_is_framed() -> None:
    """In a group picture the subject's face is named, whatever its place among the faces."""
    group = measurement(
        "9",
        face(7, box=Box(3500, 600, 400, 500)),
        face(1, take=50, box=Box(300, 600, 400, 500)),
        size=(4500, 3000),
    )
    verdict = judge(several(4) | {"9": group})["e"]
    assert verdict.kept and verdict.subject == 1


def test_a_crop_that_holds_another_face_is_several_people() -> None:
    """Two heads together cannot be told apart by any crop, unless the user allows it."""
    pair = measurement(
        "9", face(1, take=50, box=Box(800, 600, 400, 500)), face(7, box=Box(1210, 600, 400, 500))
    )
    assert judge(several(4) | {"9": pair})["e"].reason is Reason.SEVERAL_PEOPLE
    assert judge(several(4) | {"9": pair}, load(several_people="keep"))["e"].kept


def test_an_exact_copy_names_the_kept_original() -> None:
    """The same bytes twice: one is kept, the other names it."""
    looks = several(3)
    photos = [photo("a.jpg", "1"), photo("b.jpg", "2"), photo("c.jpg", "3"), photo("z.jpg", "1")]
    verdict = judge(looks, photos=photos)["z"]
    assert verdict.reason is Reason.EXACT_DUPLICATE and verdict.because_of == "a.jpg"


def test_a_smaller_copy_yields_to_the_original() -> None:
    """Of one picture in two sizes the larger stays, and the smaller names it with its figures."""
    looks = several(3)
    original = looks["2"]
    assert isinstance(original, Measurement)
    looks["8"] = replace(
        original, sha256="8", width=1500, height=2250, faces=(face(1, take=2, box=Box(600, 450, 300, 375)),)
    )
    verdict = judge(looks)["d"]
    assert verdict.reason is Reason.NEAR_DUPLICATE and verdict.because_of == "b.jpg"
    assert verdict.scores["hash_distance"] == 0 and verdict.scores["picture_ssim"] > 0.99


def test_of_a_photo_and_its_copies_the_original_stays() -> None:
    """However many bytes a copy has: one that lies, was a coarser JPEG before, or has burnt out goes."""
    original = several(3)["2"]
    assert isinstance(original, Measurement)
    lying = replace(original.faces[0], pose=HeadPose(0, 0, 90))
    copies = (
        replace(original, faces=(lying,)),
        replace(original, saved_again=2.5),
        replace(original, exposure=Exposure(0.7, 0.3, 0.0, 0.1)),
    )
    for copy in copies:
        looks = several(3) | {"8": replace(copy, sha256="8", jpeg_quality=100)}
        heavy = [photo(f"{sha}.jpg", sha, size=9_000_000 if sha == "8" else 1000) for sha in looks]
        verdicts = judge(looks, photos=heavy)
        assert verdicts["2"].kept and verdicts["8"].because_of == "2.jpg"


def takes_of_one_shot(wobble: float) -> dict[str, Look]:
    """Four pictures of one scene; `wobble`: how differently the face is recognised in each."""
    hashes = [0x0, 0xFFFF, 0xFFFF0000, 0xFFFF00000000]
    states = [(0.9, 3.0), (0.9, 2.0), (0.9, 1.0), (0.1, 9.0)]
    return {
        f"{i:x}": measurement(
            f"{i:x}",
            face(
                1,
                grey=1,
                eyes_open=eyes,
                sharpness=sharp,
                embedding=person(1, wobble=wobble, take=i),
            ),
            scene=77,
            phash=hashes[i],
        )
        for i, (eyes, sharp) in enumerate(states)
    }


def test_of_a_shot_taken_again_the_sharpest_with_open_eyes_are_kept() -> None:
    """Four takes that differ a little: two stay, the blink and the softest go."""
    looks = takes_of_one_shot(wobble=0.4)
    verdicts = judge(looks, load(duplicates=("take",)))
    assert [verdicts[name].reason for name in "abcd"] == [Reason.KEPT] * 2 + [Reason.SAME_SHOT] * 2
    assert {v.because_of for v in verdicts.values()} <= {None, "a.jpg", "b.jpg"}
    alone = judge(looks, load(duplicates=("take",), keep_per_cluster=1))
    assert [verdict.kept for verdict in alone.values()] == [True, False, False, False]


def test_a_burst_leaves_one_and_its_kind_can_be_switched_off() -> None:
    """Frames an instant apart teach nothing twice, whatever is kept of looser takes."""
    looks = takes_of_one_shot(wobble=0.05)
    verdicts = judge(looks, load(duplicates=("burst",)))
    assert [verdicts[name].kept for name in "abcd"] == [True, False, False, False]
    assert {verdicts[name].reason for name in "bcd"} == {Reason.SAME_SHOT}
    assert all(verdict.kept for verdict in judge(looks, load(duplicates=())).values())


def test_each_fault_has_its_own_reason() -> None:
    """A dark photo is badly exposed, not blurry; a small one is too small."""
    looks = several(4) | {
        "a": measurement("a", face(1, take=30, brightness=0.01)),
        "b": measurement("b", face(1, take=31, sharpness=0.0)),
        "c": measurement("c", face(1, take=32, box=Box(200, 100, 200, 250)), size=(700, 900)),
        "d": Rejected("The file is cut short.", "Copy it again."),
    }
    verdicts = judge(looks, load(min_face_sharpness=0.5))
    reasons = [verdicts[name].reason for name in "efgh"]
    assert reasons == [Reason.BADLY_EXPOSED, Reason.BLURRY, Reason.TOO_SMALL, Reason.UNREADABLE]


def test_the_users_word_is_final() -> None:
    """Kept although a stranger's, dropped although good; both say by_user."""
    looks = several(4) | {"9": measurement("9", face(5))}
    verdicts = judge(looks, overrides={"9": Override(keep=True), "1": Override(keep=False)})
    assert verdicts["e"].kept and verdicts["e"].reason is Reason.BY_USER
    assert not verdicts["a"].kept and verdicts["a"].reason is Reason.BY_USER


def test_a_marked_face_makes_its_person_the_subject() -> None:
    """Clicking one of the people found is enough, even if another is in more photos."""
    looks = several(5) | {f"{i:x}": measurement(f"{i:x}", face(2, take=i)) for i in (10, 11, 12)}
    verdicts = judge(looks, overrides={"a": Override().marked(0, True)})
    assert [verdicts[name].kept for name in "abcdefgh"] == [False] * 5 + [True] * 3


def test_a_mark_adds_a_face_that_nothing_else_recognises() -> None:
    """A face like no other, marked as theirs, is theirs; the rest stays as it was."""
    looks = several(5) | {"9": measurement("9", face(7))}
    assert judge(looks)["f"].reason is Reason.OTHER_PERSON
    verdicts = judge(looks, overrides={"9": Override().marked(0, True)})
    assert all(verdict.kept for verdict in verdicts.values())


def test_a_face_marked_as_not_theirs_is_not() -> None:
    """Also in a group of faces that are; and who looks more like it than like them goes with it."""
    looks = several(5)
    verdicts = judge(looks, overrides={"1": Override().marked(0, False)})
    assert verdicts["a"].reason is Reason.OTHER_PERSON
    twin = person(1, wobble=1.0, take=500)
    alike = [0.6 * person(1, take=i) + 0.8 * twin for i in (1, 2, 3)]
    twins = {
        f"{i + 10:x}": measurement(f"{i + 10:x}", face(1, take=40 + i, embedding=v / np.linalg.norm(v)))
        for i, v in enumerate(alike)
    }
    assert all(verdict.kept for verdict in judge(looks | twins).values())
    told = judge(looks | twins, others=[twin])
    assert [told[name].kept for name in "abcdefgh"] == [True] * 5 + [False] * 3


def test_a_preferred_photo_stays_and_the_better_copy_names_it() -> None:
    """The user swaps the keeper of two copies: the smaller one stays."""
    looks = several(3)
    original = looks["2"]
    assert isinstance(original, Measurement)
    looks["8"] = replace(
        original, sha256="8", width=1500, height=2250, faces=(face(1, take=2, box=Box(600, 450, 300, 375)),)
    )
    verdicts = judge(looks, overrides={"8": Override(prefer=True)})
    assert verdicts["d"].reason is Reason.KEPT and verdicts["b"].because_of == "d.jpg"


def test_where_nobody_stands_out_nobody_is_guessed() -> None:
    """Ten photos of ten people: all undecided, none kept; one reference settles it."""
    looks = {f"{i:x}": measurement(f"{i:x}", face(i)) for i in range(1, 11)}
    verdicts = judge(looks)
    assert not any(verdict.kept for verdict in verdicts.values())
    assert all(verdict.scores["undecided"] == 1 for verdict in verdicts.values())
    told = judge(looks, references=[person(4, take=9)])
    assert [name for name, verdict in told.items() if verdict.kept] == ["d"]


def test_a_marked_face_is_the_subject_where_nobody_recurs() -> None:
    """Five photos of five people: the marked one alone is kept, not the largest face beside it."""
    sides = [400, 300, 300, 300, 300]
    looks = {
        f"{i:x}": measurement(f"{i:x}", face(i, box=Box(300, 300, side, side * 1.25)))
        for i, side in enumerate(sides, 1)
    }
    assert [name for name, verdict in judge(looks).items() if verdict.kept] == ["a"]
    told = judge(looks, overrides={"3": Override().marked(0, True)})
    assert [name for name, verdict in told.items() if verdict.kept] == ["c"]


def test_keeping_an_undecided_photo_answers_it() -> None:
    """Its face is then the subject's, so that the crop is of them; left out it is no longer asked about."""
    looks = {f"{i:x}": measurement(f"{i:x}", face(i)) for i in range(1, 11)}
    told = judge(looks, overrides={"2": Override(keep=True), "3": Override(keep=False)})
    assert (told["b"].kept, told["b"].subject) == (True, 0)
    assert not any("undecided" in told[name].scores for name in "bc")


def test_the_smallest_side_is_asked_anew() -> None:
    """Moving `min_side` over the same evidence judges the crops again."""
    pair = (face(1, box=Box(500, 500, 300, 380)), face(2, box=Box(1000, 500, 300, 380)))
    looks = {f"{i:x}": measurement(f"{i:x}", *pair, size=(1600, 1600), scene=i) for i in range(1, 4)}
    photos = list(judge(looks).values())
    evidence = gather([verdict.photo for verdict in photos], looks)
    reasons = {}
    for side in (1024, 320, 1024):
        settings = DEFAULTS.model_copy(update={"small_photos": "keep", "min_side": side})
        verdicts = decide([v.photo for v in photos], looks, settings, CALIBRATION, evidence=evidence)
        reasons.setdefault(side, set()).update(v.reason for v in verdicts)
    assert reasons[1024] != reasons[320]


def test_the_people_found_are_there_to_choose_from() -> None:
    """Those in most photos first, each with a cover face; the subject is marked as such."""
    looks = several(5) | {f"{i:x}": measurement(f"{i:x}", face(2, take=i)) for i in (10, 11, 12)}
    first, second = people_found(looks, DEFAULTS, CALIBRATION)
    assert (first.photos, second.photos) == (5, 3) and first.subject and not second.subject
    assert second.cover in second.faces and {face.sha256 for face in second.faces} == {"a", "b", "c"}
    marked = {second.cover.sha256: Override().marked(second.cover.face, True)}
    assert [p.subject for p in people_found(looks, DEFAULTS, CALIBRATION, marked)] == [False, True]


def test_a_target_keeps_that_many_and_names_no_lost_photo() -> None:
    """Over the target is its own reason."""
    verdicts = judge(several(9), load(target_count=4))
    assert sum(verdict.kept for verdict in verdicts.values()) == 4
    assert {v.reason for v in verdicts.values() if not v.kept} == {Reason.OVER_TARGET}


@hypothesis_settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), keep=st.integers(1, 3), target=st.sampled_from([0, 3]))
def test_verdicts_hold_whatever_the_order(seed: int, keep: int, target: int) -> None:
    """Any mix, any order: one line a photo, duplicates name kept photos, the same answer again."""
    rng = random.Random(seed)
    looks: dict[str, Look] = {}
    for i in range(1, 25):
        who, scene, take = rng.choice([1, 1, 1, 2]), rng.randrange(6), rng.randrange(4)
        who_face = face(who, take=take, grey=scene, sharpness=rng.uniform(0.5, 2))
        phash = scene * 0x0F0F1133 ^ (1 << rng.randrange(20))
        looks[f"{i:x}"] = measurement(f"{i:x}", who_face, scene=scene, phash=phash)
    photos = [photo(f"{sha}-{copy}.jpg", sha) for sha in looks for copy in range(rng.choice([1, 1, 2]))]
    settings = load(keep_per_cluster=keep, target_count=target)
    first = decide(photos, looks, settings, CALIBRATION)
    rng.shuffle(photos)
    evidence = gather(photos, looks)
    for _ in range(2):
        assert decide(photos, looks, settings, CALIBRATION, evidence=evidence) == first
    assert [v.photo.source.name for v in first] == sorted(p.source.name for p in photos)
    kept = {v.photo.source.name for v in first if v.kept}
    for verdict in first:
        if verdict.reason in (Reason.EXACT_DUPLICATE, Reason.NEAR_DUPLICATE, Reason.SAME_SHOT):
            assert verdict.because_of in kept


def test_measurements_in_columns_give_the_same_verdicts(tmp_path: Path) -> None:
    """A million photos are held in another form than a hundred, and judged alike."""
    looks = several(6) | takes_of_one_shot(wobble=0.05) | {"d": Rejected("Cut short.")}
    photos = [photo(f"{i}.jpg", sha) for i, sha in enumerate(looks)]
    settings = load(target_count=5)
    plain = decide(photos, looks, settings, CALIBRATION)
    assert decide(photos, Looks(looks), settings, CALIBRATION) == plain
    assert decide(photos, Looks(looks, tmp_path), settings, CALIBRATION) == plain
