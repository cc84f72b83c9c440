"""The crop editor's answers: photos with their crops, warnings and pictures; and what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lora_builder import measure, vision_focus
from lora_builder.errors import BadInput
from lora_builder.focus import NAMES, more_frames
from lora_builder.framing import Concern, Size, automatic, chosen, concerns, fitted, framings, size_for
from lora_builder.records import Box, Crop, Decision, ExtraCrop, Look, Measurement, Override, Photo
from lora_builder.settings import Settings
from lora_builder.ui import outward
from lora_builder.ui.changes import CROP
from lora_builder.ui.editors.sent import numbers_of, text_of
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

Answer: TypeAlias = dict[str, Any]
"""JSON for the script."""

MAIN = ""
"""Name of a photo's first crop; the others have those of `focus.NAMES`, or one of the user's."""

SERIOUS = frozenset({Concern.FACE_CUT, Concern.OTHER_FACE, Concern.UPSCALED})
"""Concerns for which a photo is listed as to check; a close head is often wanted."""


@dataclass(frozen=True)
class Hand:
    """A photo in hand, with all that its crops depend on. `drawn`: the user's boxes, by crop name."""

    decision: Decision
    measurement: Measurement
    subject: int | None
    settings: Settings
    drawn: Mapping[str, Box] = field(default_factory=dict)
    doubt: str = ""
    """Why a vision model found the photo unusable."""
    found: bool = False
    """Whether a vision model looks for the focus."""

    @property
    def automatic(self) -> Crop:
        """Our own crop: where a vision model finds the focus, what the last run made of its answer."""
        if self.found and self.decision.crop is not None:
            return self.of(Box(*self.decision.crop))
        return automatic(self.measurement, self.subject, self.settings)

    @property
    def crops(self) -> dict[str, Crop]:
        """Every training picture of the photo, by name, as a run cuts them."""
        main = self.of(self.drawn[MAIN]) if MAIN in self.drawn else self.automatic
        more = more_frames(self.measurement, self.subject, self.settings, main)
        extra = {name: self.of(box) for name, box in self.drawn.items() if name != MAIN}
        return {MAIN: main, **more, **extra}

    def of(self, box: Box, size: Size | None = None) -> Crop:
        """The crop that a box gives."""
        return chosen(box, self.measurement.width, self.measurement.height, self.settings, size)

    def warnings(self, crop: Crop, language: str) -> list[Answer]:
        """A sentence for each concern."""
        return [
            {
                "serious": concern in SERIOUS,
                "text": tr(
                    f"crop_warn_{concern.value}",
                    language,
                    factor=f"{figure:.2f}",
                    share=max(1, round(100 * figure)),
                    count=round(figure),
                    w=crop.width,
                    h=crop.height,
                ),
            }
            for concern, figure in concerns(self.measurement, self.subject, crop, self.settings).items()
        ]


def hands(view: View) -> dict[str, Hand]:
    """The kept photos that were measured, by SHA-256, in the order of their names."""
    store, project, settings = view.desk.store, view.theirs, view.settings
    kept: dict[str, Decision] = {}
    for decision in store.decisions(project.id):
        if decision.verdict == "kept":
            kept.setdefault(decision.sha256, decision)
    looks = store.looks(kept, measure.recipe(settings))
    overrides, extras = store.overrides(project.id), store.finishing.extra_crops(project.id)
    doubts, looked = vision_focus.doubts(store, project.id), outward.looked_for(store, project, settings)
    found = {}
    for key, decision in kept.items():
        hand = _hand(decision, looks.get(key), settings, overrides.get(key), extras.get(key, ()))
        if hand is not None:
            found[key] = replace(hand, doubt=doubts.get(key, ""), found=looked)
    return found


def hand_of(view: View, sent: Mapping[str, Any]) -> tuple[str, Hand]:
    """The photo whose `key` a browser sent. Raises BadInput where it is not among the kept ones."""
    key = text_of(view, sent, "key", 200)
    store, project, settings = view.desk.store, view.theirs, view.settings
    look = store.looks([key], measure.recipe(settings)).get(key)
    decisions = (d for d in store.decisions(project.id) if d.sha256 == key and d.verdict == "kept")
    decision = next(decisions, None)
    hand = None
    if decision is not None:
        override = store.overrides(project.id).get(key)
        extras = store.finishing.extra_crops(project.id).get(key, ())
        hand = _hand(decision, look, settings, override, extras)
        if hand is not None:
            doubt = vision_focus.doubts(store, project.id).get(key, "")
            looked = outward.looked_for(store, project, settings)
            hand = replace(hand, doubt=doubt, found=looked)
    if hand is None:
        raise BadInput(tr("edit_gone", view.language))
    return key, hand


def _hand(
    decision: Decision,
    look: Look | None,
    settings: Settings,
    override: Override | None,
    extras: tuple[ExtraCrop, ...],
) -> Hand | None:
    if not isinstance(look, Measurement):
        return None
    drawn = {extra.name: extra.box for extra in extras}
    if override is not None and override.crop is not None:
        drawn[MAIN] = override.crop
    # The decision knows the subject's face by its box.
    boxes = [face.box.rounded() for face in look.faces]
    subject = boxes.index(decision.subject_face) if decision.subject_face in boxes else None
    return Hand(decision, look, subject, settings, drawn)


def original(view: View, key: str) -> Photo:
    """The file of a kept photo."""
    photos, _ = view.desk.store.photos(view.theirs.id)
    return next(photo for photo in photos if photo.sha256 == key)


def state(hand: Hand, language: str) -> Answer:
    """The crops of a photo, the boxes to choose from, and what is wrong with each crop."""
    crops = hand.crops
    size = _size(hand, crops[MAIN], hand.drawn.get(MAIN))
    found = {name: _drawn(hand, name, crop, language) for name, crop in crops.items()}
    if hand.doubt:
        told = {"serious": True, "text": tr("focus_doubt", language, why=hand.doubt)}
        found[MAIN]["warnings"] = [told, *found[MAIN]["warnings"]]
    ours = hand.automatic
    return {
        "crops": found,
        "automatic": _boxed(ours.box, _size(hand, ours)),
        "framings": {
            name: _boxed(crop.box, size_for(crop.box, hand.settings))
            for name, crop in framings(
                hand.measurement, hand.subject, hand.settings, size if size in hand.settings.sizes else None
            ).items()
        },
        "check": any(line["serious"] for crop in found.values() for line in crop["warnings"]),
    }


def drawn(view: View, hand: Hand, sent: Mapping[str, Any]) -> tuple[Box, Crop]:
    """The legal box nearest to the one a browser sent, and the crop it gives. Raises BadInput."""
    box = Box(*numbers_of(view, sent, "box", 4))
    if box in hand.drawn.values():
        return box, hand.of(box)  # as a run cuts it
    across, down = (int(side) for side in numbers_of(view, sent, "size", 2))
    size = (across, down) if (across, down) in hand.settings.sizes else None
    try:
        size = size or size_for(box, hand.settings)
        box = fitted(box, size, hand.measurement.width, hand.measurement.height)
    except (ValueError, ZeroDivisionError) as error:
        raise BadInput(tr("edit_bad_page", view.language)) from error
    return box, hand.of(box, size)


def save(view: View, key: str, hand: Hand, name: str, box: Box | None) -> None:
    """Remembers the box of one of a photo's crops, or (None) goes back to the automatic one.

    A further crop that we would not make by ourselves is gone with its box.
    """
    store, project = view.desk.store, view.theirs
    if name == MAIN:
        view.desk.changes.set_crop(project, key, box)
        return
    if name not in hand.crops and name not in NAMES:
        raise BadInput(tr("edit_bad_page", view.language))
    kept = store.finishing.extra_crops(project.id).get(key, ())
    captions = {extra.name: extra.caption for extra in kept}
    others = [extra for extra in kept if extra.name != name]
    mine = [ExtraCrop(name, box, captions.get(name))] if box is not None else []
    view.desk.changes.set_extra_crops(project, key, [*others, *mine])


def depth(view: View) -> list[bool]:
    """Whether the newest change, and the newest one taken back, was made here."""
    return list(view.desk.changes.depth(view.theirs, CROP))


def taken_back(view: View, again: bool) -> Answer:
    """Takes the newest change of a crop back, or does it `again`: the photos that changed, by key."""
    changes = view.desk.changes
    if not changes.depth(view.theirs, CROP)[again]:
        return {"depth": depth(view), "photos": {}}
    change = changes.redo(view.theirs) if again else changes.undo(view.theirs)
    touched = {*change.before, *change.crops_before} if change else set()
    found = {key: hand for key, hand in hands(view).items() if key in touched}
    photos = {key: state(hand, view.language) for key, hand in found.items()}
    return {"depth": depth(view), "photos": photos}


def _drawn(hand: Hand, name: str, crop: Crop, language: str) -> Answer:
    box = hand.drawn.get(name)
    return {
        **_boxed(box or crop.box, _size(hand, crop, box)),
        "mine": box is not None,
        "output": [crop.width, crop.height],
        "warnings": hand.warnings(crop, language),
    }


def _size(hand: Hand, crop: Crop, box: Box | None = None) -> Size:
    """The training size that the box is locked to; a smaller crop keeps the shape it was cut in."""
    size = (crop.width, crop.height)
    return size if size in hand.settings.sizes else size_for(box or crop.box, hand.settings)


def _boxed(box: Box, size: Size) -> Answer:
    return {"box": list(box.rounded()), "size": list(size)}
