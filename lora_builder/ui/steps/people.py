"""People: who is in the photos, and which of them the project is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.ui import presenters
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class People:
    """The people found."""

    name = "people"

    def build(self, shell: Shell) -> None:
        self.body = gr.HTML()

    def outputs(self) -> list[Any]:
        return [self.body]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        return {self.body: presenters.empty(tr("nothing_yet", view.language))}

    def wire(self, shell: Shell) -> None:
        pass
