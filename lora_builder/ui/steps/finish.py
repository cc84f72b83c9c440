"""Below the crops: light edits, masks and backdrops, seen before and after on any photo."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lora_builder.ui.editors import crop, finish
from lora_builder.ui.editors.pictures import Darkroom
from lora_builder.ui.steps import View
from lora_builder.ui.steps.drawn import Drawn, Served


class Finish(Drawn):
    """A part of the step Crop: what becomes of the cut pixels, for all photos, the ticked ones or one."""

    name = "finish"
    frame, scripts = "ldb-editor ldb-finish", ("editor.js", "finish.js")
    styles, texts = ("editor.css", "finish.css"), ("finish_", "edit_")

    def __init__(self, darkroom: Darkroom) -> None:
        self.darkroom = darkroom
        self.visits = itertools.count()

    def served(self) -> Sequence[Served]:
        return (self.open_finish, self.see_finish, self.save_finish, self.name_recipe)

    def value(self, view: View) -> dict[str, Any]:
        return {**super().value(view), "visit": next(self.visits)}

    # For the script

    def open_finish(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Every kept photo, and the edits and masks as they are."""
        return {"photos": finish.photos(view), **finish.state(view)}

    def see_finish(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """A training picture before and after edits that are not saved yet. Raises UnreadablePhoto."""
        key, hand = crop.hand_of(view, sent)
        wanted, settings = finish.wanted_of(view, sent)
        made = self.darkroom.finished(finish.task_of(view, key, hand, wanted, settings), settings)
        return asdict(made)

    def save_finish(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Remembers edits and masks; everything as it is now."""
        finish.save(view, sent)
        return finish.state(view)

    def name_recipe(self, view: View, sent: dict[str, Any]) -> crop.Answer:
        """Saves or forgets a recipe; everything as it is now."""
        finish.save_recipe(view, sent)
        return finish.state(view)
