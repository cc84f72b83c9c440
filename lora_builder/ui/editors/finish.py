"""How the training pictures are finished: edits and masks as the page knows them, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_builder import edits
from lora_builder.crop import CropTask, crop_task
from lora_builder.errors import BadInput, BadSettings
from lora_builder.records import Edits
from lora_builder.settings import Settings
from lora_builder.ui.editors.crop import MAIN, Answer, Hand, hands, original
from lora_builder.ui.editors.sent import text_of
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

LONGEST_RECIPE = 200
"""Characters; as `settings.recipe`."""

LONGEST_NAME = 40
"""Characters of a recipe's name."""


def saved(view: View) -> dict[str, Edits]:
    """The recipes that this visitor saved, for all of their projects."""
    return view.desk.store.finishing.recipes(view.theirs.owner or "")


def state(view: View) -> Answer:
    """The edits of all photos and those of single ones, the masks, and the recipes to choose from."""
    settings, mine = view.settings, saved(view)
    own = view.desk.store.finishing.edits(view.theirs.id)
    return {
        "recipe": edits.written(edits.parse(settings.recipe, mine)),
        "own": {key: edits.written(wanted) for key, wanted in own.items()},
        "mask": settings.mask,
        "feather": settings.mask_feather,
        "recipes": [
            *([name, edits.written(wanted), False] for name, wanted in edits.BUILT_IN.items()),
            *([name, edits.written(wanted), True] for name, wanted in mine.items()),
        ],
    }


def photos(view: View) -> list[Answer]:
    """The kept photos: name, small picture, and how many other faces their training picture shows."""
    return [
        {
            "key": key,
            "name": hand.decision.source,
            "thumb": view.picture(key),
            "others": _others(hand),
        }
        for key, hand in hands(view).items()
    ]


def _others(hand: Hand) -> int:
    box = hand.crops[MAIN].box
    faces = (face.box for at, face in enumerate(hand.measurement.faces) if at != hand.subject)
    return sum(box.intersection(face).area > 0 for face in faces)


def task_of(view: View, key: str, hand: Hand, wanted: Edits, settings: Settings) -> CropTask:
    """The photo's main training image with those edits, as a run would make it."""
    look = hand.measurement
    subject = look.faces[hand.subject].box if hand.subject is not None else None
    others = tuple(face.box for at, face in enumerate(look.faces) if at != hand.subject)
    # Only looked at: nothing is written there.
    return crop_task(original(view, key), hand.crops[MAIN], Path(), settings, wanted, subject, others)


def wanted_of(view: View, sent: Mapping[str, Any]) -> tuple[Edits, Settings]:
    """The edits and masks that a browser sent, not saved yet. Raises BadInput, BadSettings."""
    changes = masks_of(view, sent)
    wanted = edits.parse(text_of(view, sent, "edits", LONGEST_RECIPE))
    return wanted, view.settings.model_copy(update=changes)


def masks_of(view: View, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The masks that a browser sent, as settings. Raises BadInput."""
    mask, feather = sent.get("mask"), sent.get("feather")
    whole = isinstance(feather, int) and not isinstance(feather, bool) and 0 <= feather <= 256
    if mask not in ("none", "subject", "head", "face") or not whole:
        raise BadInput(tr("edit_bad_page", view.language))
    return {"mask": mask, "mask_feather": feather}


def save(view: View, sent: Mapping[str, Any]) -> None:
    """Remembers the edits of all photos, of single ones (null: as all), and the masks.

    Raises BadInput, BadSettings.
    """
    recipe = edits.written(edits.parse(text_of(view, sent, "recipe", LONGEST_RECIPE)))
    changes = {"recipe": recipe, **masks_of(view, sent)}
    own = sent.get("own")
    kept = hands(view)
    if not isinstance(own, dict) or not own.keys() <= kept.keys():
        raise BadInput(tr("edit_gone", view.language))
    texts = {key: None if own[key] is None else text_of(view, own, key, LONGEST_RECIPE) for key in own}
    parsed = {key: None if text is None else edits.parse(text) for key, text in texts.items()}
    # What the page takes back and does again is its own line of changes, as in the crop editor.
    view.desk.set_settings(view.theirs, changes, undoable=False)
    for key, wanted in parsed.items():
        view.desk.store.finishing.set_edits(view.theirs.id, key, wanted)


def save_recipe(view: View, sent: Mapping[str, Any]) -> None:
    """Saves edits under a name for all of the visitor's projects, or (`edits` null) forgets the name.

    Raises BadSettings for a name that is empty, built in, or could be taken for an edit.
    """
    name = " ".join(text_of(view, sent, "name", LONGEST_NAME).split())
    wanted = None if sent.get("edits") is None else edits.parse(text_of(view, sent, "edits", LONGEST_RECIPE))
    taken = name in edits.BUILT_IN or name in Edits.__dataclass_fields__
    if not name or taken or not name.replace("-", "").replace("_", "").replace(" ", "").isalnum():
        raise BadSettings(tr("finish_bad_name", view.language), tr("finish_bad_name_remedy", view.language))
    view.desk.store.finishing.save_recipe(name, wanted, view.theirs.owner or "")
