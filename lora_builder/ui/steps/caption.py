"""Caption: what the text beside each training picture says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.ui import presenters
from lora_builder.ui.presenters import text
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Caption:
    """The captions beside their pictures."""

    name = "caption"

    def build(self, shell: Shell) -> None:
        self.table = gr.HTML(elem_id="ldb-captions")

    def outputs(self) -> list[Any]:
        return [self.table]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        decisions = view.desk.store.decisions(view.theirs.id) if view.project else []
        written = [decision for decision in decisions if decision.caption]
        if not written:
            return {self.table: presenters.empty(tr("caption_empty", view.language))}
        rows = "".join(
            f'<li class="ldb-row"><img src="{view.picture(d.sha256)}" loading="lazy" alt="">'
            f'<div><p class="name">{text(d.source)}</p><p>{text(d.caption or "")}</p></div></li>'
            for d in written
        )
        return {self.table: f'<ul class="ldb-rows">{rows}</ul>'}

    def wire(self, shell: Shell) -> None:
        pass
