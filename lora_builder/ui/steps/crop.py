"""Crop: where each training picture is cut out, and how it is finished."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_builder.ui.editors import crop
from lora_builder.ui.editors.pictures import Darkroom
from lora_builder.ui.editors.sent import text_of
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.steps.drawn import Drawn, Served
from lora_builder.ui.steps.finish import Finish

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Crop(Drawn):
    """A box over each kept photo, and what it gives."""

    name = "crop"
    frame, scripts = "ldb-editor ldb-crop", ("editor.js", "crop.js")
    styles, texts = ("editor.css", "crop.css"), ("crop_", "edit_")

    def __init__(self) -> None:
        self.darkroom = Darkroom()
        self.visits = itertools.count()
        self.finish = Finish(self.darkroom)

    def build(self, shell: Shell) -> None:
        self.finish.build(shell)
        super().build(shell)

    def outputs(self) -> list[Any]:
        return [*super().outputs(), *self.finish.outputs()]

    def show(self, view: View) -> Updates:
        return super().show(view) | self.finish.show(view)

    def wire(self, shell: Shell) -> None:
        super().wire(shell)
        self.finish.wire(shell)

    def served(self) -> Sequence[Served]:
        return (
            self.open_crops, self.open_photo, self.check_box, self.save_box, self.view_box, self.undo_box
        )  # fmt: skip

    def value(self, view: View) -> dict[str, Any]:
        # The visit makes the value another one, so that the script looks again at every visit.
        return {**super().value(view), "visit": next(self.visits)}

    # For the script

    def open_crops(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Every kept photo with its crops, and the training sizes."""
        photos = [
            {
                "key": key,
                "name": hand.decision.source,
                "thumb": view.picture(key),
                "width": hand.measurement.width,
                "height": hand.measurement.height,
                **crop.state(hand, view.language),
            }
            for key, hand in crop.hands(view).items()
        ]
        sizes = [list(size) for size in view.settings.sizes]
        return {"photos": photos, "sizes": sizes, "depth": crop.depth(view)}

    def open_photo(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """The upright proxy of one photo. Raises UnreadablePhoto."""
        key, hand = crop.hand_of(view, sent)
        return {"image": self.darkroom.proxy(crop.original(view, key), hand.settings)}

    def check_box(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """What is wrong with a box that is not saved yet, and the size it comes out at."""
        _, hand = crop.hand_of(view, sent)
        _, cut = crop.drawn(view, hand, sent)
        return {"warnings": hand.warnings(cut, view.language), "output": [cut.width, cut.height]}

    def save_box(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Remembers a box, or (`box` null) forgets it; the photo's crops as they are now."""
        key, hand = crop.hand_of(view, sent)
        name = text_of(view, sent, "crop", 24)
        box = None if sent.get("box") is None else crop.drawn(view, hand, sent)[0]
        crop.save(view, key, hand, name, box)
        now = crop.state(crop.hand_of(view, sent)[1], view.language)
        return {**now, "depth": crop.depth(view)}

    def undo_box(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Takes the newest change of a crop back, or (`redo`) does it again; the photos as they are now."""
        return crop.taken_back(view, sent.get("redo") is True)

    def view_box(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """The training image that a box would give, from the original's pixels. Raises UnreadablePhoto."""
        key, hand = crop.hand_of(view, sent)
        _, cut = crop.drawn(view, hand, sent)
        return {"image": self.darkroom.view(crop.original(view, key), cut, hand.settings)}
