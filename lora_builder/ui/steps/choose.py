"""Choose: what is kept, what is left out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.explain import title
from lora_builder.ui import presenters
from lora_builder.ui.presenters import text
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Choose:
    """Kept and dropped photos."""

    name = "choose"

    def build(self, shell: Shell) -> None:
        self.grid = gr.HTML(elem_id="ldb-choose-grid")

    def outputs(self) -> list[Any]:
        return [self.grid]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        decisions = view.desk.store.decisions(view.theirs.id) if view.project else []
        if not decisions:
            return {self.grid: presenters.empty(tr("nothing_yet", view.language))}
        cards = "".join(
            f'<li class="ldb-card {decision.verdict}">'
            f'<img src="{view.picture(decision.sha256)}" loading="lazy" '
            f'alt="{text(presenters.name_of(decision))}"><p class="name">{text(decision.source)}</p>'
            f'<p><span class="badge">{text(title(decision.reason, view.language))}</span></p>'
            f'<p class="why">{text(presenters.sentence(decision, view.language))}</p></li>'
            for decision in sorted(decisions, key=lambda d: (d.verdict != "kept", d.source))
        )
        kept = sum(decision.verdict == "kept" for decision in decisions)
        total = tr("kept_of", view.language, kept=kept, total=len(decisions))
        return {self.grid: f'{presenters.heading(total)}<ul class="ldb-cards">{cards}</ul>'}

    def wire(self, shell: Shell) -> None:
        pass
