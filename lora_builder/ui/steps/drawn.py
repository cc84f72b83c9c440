"""What the steps have in common that a script of ours draws: one component, and its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr

from lora_builder.ui.static import read, script
from lora_builder.ui.steps import Updates, View, place
from lora_builder.ui.texts import words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

Served = Callable[[View, dict[str, Any]], Any]
"""A function that the step's script may call."""


class Drawn:
    """A step that is one `gr.HTML`. Its script finds in `props.value` where it is, and its words.

    `scripts` and `styles`: files of `static/`, after `dom.js`. `texts`: beginnings of the keys whose
    texts the script says. `frame`: classes of the element that it draws in.

    The script calls `trigger('changed')` after a server function that changed anything. The photo that
    it is to open on (`Shell.see`) is `props.value.photo`, a SHA-256.
    """

    name: str
    frame: ClassVar[str]
    scripts: ClassVar[tuple[str, ...]]
    texts: ClassVar[tuple[str, ...]]
    styles: ClassVar[tuple[str, ...]] = ()

    def served(self) -> Sequence[Served]:
        """The functions that the script may call."""
        return ()

    def build(self, shell: Shell) -> None:
        self.shell = shell
        self.body = gr.HTML(
            {},
            html_template=f'<div class="{self.frame}"></div>',
            css_template="".join(map(read, self.styles)),
            js_on_load=script(*self.scripts),
            server_functions=[shell.serve(function) for function in self.served()],
            apply_default_css=False,
            elem_id=f"ldb-{self.name}-body",
        )

    def outputs(self) -> list[Any]:
        return [self.body]

    def words(self, language: str) -> Updates:
        return {}

    def show(self, view: View) -> Updates:
        return {self.body: {**place(view), **self.value(view)}}

    def value(self, view: View) -> dict[str, Any]:
        """What the script knows besides the place; it looks again whenever this changes."""
        said = [words_for(start, view.language) for start in self.texts]
        return {
            "words": {key: text for words in said for key, text in words.items()},
            "busy": view.busy,
            # A job that ended may have read other photos: the page then asks for all of them again.
            "moment": view.desk.jobs.latest(view.theirs.id) if view.project else None,
            "photo": view.photo,
        }

    def wire(self, shell: Shell) -> None:
        shell.on(self.body.changed, lambda view: {}, [], [])
