"""Crop: where each training picture is cut out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.ui import presenters
from lora_builder.ui.presenters import text
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Crop:
    """The kept photos with their crop lit."""

    name = "crop"

    def build(self, shell: Shell) -> None:
        self.cards = gr.HTML(elem_id="ldb-crops")

    def outputs(self) -> list[Any]:
        return [self.cards]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        decisions = view.desk.store.decisions(view.theirs.id) if view.project else []
        cropped = [decision for decision in decisions if decision.crop is not None]
        if not cropped:
            return {self.cards: presenters.empty(tr("crop_empty", view.language))}
        lit = text(tr("crop_of", view.language))
        cards = "".join(
            f'<li class="ldb-card"><span class="ldb-photo" style="aspect-ratio:{d.width}/{d.height}">'
            f'<img src="{view.picture(d.sha256)}" loading="lazy" alt="{text(presenters.name_of(d))}">'
            f'<span class="ldb-lit" style="{presenters.percent(d)}" title="{lit}"></span></span>'
            f'<p class="name">{text(d.source)}</p></li>'
            for d in cropped
        )
        return {self.cards: f'<ul class="ldb-cards">{cards}</ul>'}

    def wire(self, shell: Shell) -> None:
        pass
