"""Photos: what the project is made of, and how more comes in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.errors import BadInput
from lora_builder.ui import presenters
from lora_builder.ui.intake import Upload
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Photos:
    """Uploads, and folders of this machine."""

    name = "photos"

    def build(self, shell: Shell) -> None:
        self.shell = shell
        self.intro = gr.HTML()
        self.upload = gr.File(file_count="multiple", elem_id="ldb-upload", height=180)
        with gr.Row(visible=shell.desk.local):
            self.folder = gr.Textbox(max_lines=1, elem_id="ldb-folder")
            self.open = gr.Button(elem_id="ldb-folder-open", scale=0)

    def outputs(self) -> list[Any]:
        return [self.intro, self.upload, self.folder, self.open]

    def words(self, language: str) -> Updates:
        desk = self.shell.desk
        where = tr("private_local" if desk.local else "private_host", language)
        limits = tr("limits", language, mb=f"{desk.settings.max_upload_mb:,}")
        return {
            self.intro: presenters.promise(where, limits),
            self.upload: gr.update(label=tr("upload", language)),
            self.folder: gr.update(
                label=tr("folder", language),
                info=tr("folder_info", language),
                placeholder=tr("folder_example", language),
            ),
            self.open: gr.update(value=tr("folder_open", language)),
        }

    def show(self, view: View) -> Updates:
        return {}

    def wire(self, shell: Shell) -> None:
        whole = shell.everything()
        shell.on(self.upload.upload, self.take, [self.upload], whole, needs_project=False)
        shell.on(self.open.click, self.read_folder, [self.folder], whole, needs_project=False)

    def take(self, view: View, files: list[str] | None) -> Updates:
        """Uploads go into the open project, or into a new one."""
        if not files:
            raise BadInput(tr("no_photos", view.language), tr("no_photos_remedy", view.language))
        intake = view.desk.intake
        project = view.project or intake.create(view.owner, "", view.language)
        intake.add(project, [Upload(Path(file), Path(file).name) for file in files], view.language)
        view.desk.run(project, self.name)
        return self.shell.at(self.shell.moved(view, project=project.id)) | {self.upload: None}

    def read_folder(self, view: View, folder: str) -> Updates:
        """The projects of a folder on this machine."""
        made = view.desk.intake.of_folder(view.owner, folder or "", "", view.language)
        for project in made:
            view.desk.run(project, self.name)
        return self.shell.at(self.shell.moved(view, project=made[0].id)) | {self.folder: ""}
