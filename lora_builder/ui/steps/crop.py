"""Crop: where each training picture is cut out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.ui.editors import crop
from lora_builder.ui.editors.pictures import Darkroom
from lora_builder.ui.editors.sent import text_of
from lora_builder.ui.static import read, script
from lora_builder.ui.steps import Updates, View, place
from lora_builder.ui.texts import words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Crop:
    """A box over each kept photo, and what it gives."""

    name = "crop"

    def __init__(self) -> None:
        self.darkroom = Darkroom()
        self.visits = itertools.count()

    def build(self, shell: Shell) -> None:
        asked = (self.open_crops, self.open_photo, self.check_box, self.save_box, self.view_box)
        self.editor = gr.HTML(
            {},
            html_template='<div class="ldb-editor ldb-crop"></div>',
            css_template=read("editor.css") + read("crop.css"),
            js_on_load=script("editor.js", "crop.js"),
            apply_default_css=False,
            server_functions=[shell.serve(function) for function in asked],
            elem_id="ldb-crop-editor",
        )

    def outputs(self) -> list[Any]:
        return [self.editor]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        # The visit makes the value another one, so that the script looks again at every visit.
        words = words_for("crop_", view.language) | words_for("edit_", view.language)
        return {self.editor: {**place(view), "words": words, "visit": next(self.visits)}}

    def wire(self, shell: Shell) -> None:
        shell.on(self.editor.changed, lambda view: {}, [], [])

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
        return {"photos": photos, "sizes": [list(size) for size in view.settings.sizes]}

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
        return crop.state(crop.hand_of(view, sent)[1], view.language)

    def view_box(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """The training image that a box would give, from the original's pixels. Raises UnreadablePhoto."""
        key, hand = crop.hand_of(view, sent)
        _, cut = crop.drawn(view, hand, sent)
        return {"image": self.darkroom.view(crop.original(view, key), cut, hand.settings)}
