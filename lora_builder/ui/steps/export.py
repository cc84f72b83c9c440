"""Export: what is written, and getting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.ui import presenters
from lora_builder.ui.desk import Deliverable
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

CLICK_LINK = "() => document.querySelector('#ldb-file a, a#ldb-file, button#ldb-file')?.click()"


class Export:
    """The package and the report."""

    name = "export"

    def build(self, shell: Shell) -> None:
        self.body = gr.HTML()
        with gr.Row():
            self.zip = gr.Button(variant="primary", elem_id="ldb-zip")
            self.report = gr.Button(elem_id="ldb-report")
        self.file = gr.DownloadButton(visible="hidden", elem_id="ldb-file")

    def outputs(self) -> list[Any]:
        return [self.body, self.zip, self.report]

    def words(self, language: str) -> Updates:
        return {
            self.zip: gr.update(value=tr("download_zip", language)),
            self.report: gr.update(value=tr("download_report", language)),
        }

    def show(self, view: View) -> Updates:
        ready = view.project is not None and (view.theirs.folder / "train_package.zip").is_file()
        return {
            self.body: "" if ready else presenters.empty(tr("nothing_yet", view.language)),
            self.zip: gr.update(interactive=ready),
            self.report: gr.update(interactive=ready),
        }

    def wire(self, shell: Shell) -> None:
        files: list[tuple[Any, Deliverable]] = [(self.zip, "train_package.zip"), (self.report, "report.html")]
        for button, what in files:
            fetched = shell.on(button.click, self._fetch(what), [], [self.file])
            fetched.success(None, js=CLICK_LINK)

    def _fetch(self, what: Deliverable) -> Any:
        def fetch(view: View) -> Updates:
            return {self.file: str(view.desk.deliver(view.theirs, what, view.language))}

        return fetch
