"""The sidebar: a visitor's projects, and what can be done with one as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.explain import printable
from lora_builder.jobs import FINISHED
from lora_builder.store import Project
from lora_builder.ui.accounts import oauth_ready
from lora_builder.ui.operations import may_read_log
from lora_builder.ui.static import script
from lora_builder.ui.steps import STEPS, Updates, View, place
from lora_builder.ui.texts import tr, words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Sidebar:
    """A list that searches and filters in the browser, and asks before it deletes."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.list = gr.HTML(
            {"projects": []},
            html_template='<div class="ldb-projects"></div>',
            js_on_load=script("sidebar.js"),
            apply_default_css=False,
            elem_id="ldb-projects",
        )

    def outputs(self) -> list[Any]:
        """The component that a project's life changes."""
        return [self.list]

    def show(self, view: View, token: str = "") -> Updates:
        """The visitor's projects, newest first; `token`: one that was just made, shown this once."""
        hours = view.desk.settings.retention_hours
        return {
            self.list: {
                **place(view),
                "projects": [self._row(view, project) for project in view.desk.all_mine(view.owner)],
                "account": self._account(view),
                "token": token,
                "tokened": view.desk.store.tokens.made(view.owner),
                "log": may_read_log(view.desk),
                "retention": tr("side_retention", view.language, hours=hours) if hours else "",
                "words": words_for("side_", view.language),
            }
        }

    def wire(self, shell: Shell) -> None:
        """Every button of the list is one event with a verb."""
        shell.on(self.list.act, self.act, [], shell.everything(), needs_project=False, detail=True)

    def act(self, view: View, data: dict[str, Any]) -> Updates:
        """Opens, makes, renames, copies, hurries or deletes a project; `forget`: all of them.

        `begin`, `call_off`: starts what is planned now, or never.

        `token`, `revoke`: lets the visitor's own programs in by a new token, or none any more.
        """
        desk, what = view.desk, data.get("what")
        project = desk.mine(data.get("project"), view.owner)
        here, step = view.project, view.step
        if what == "create":
            here, step = desk.intake.create(view.owner, "", view.language), STEPS[0]
        elif what == "forget":
            for owned in desk.all_mine(view.owner):
                desk.delete(owned)
            desk.keys.forget(view.owner)
            desk.store.tokens.revoke(view.owner)
            here, step = None, STEPS[0]
        elif what == "token":
            return self.show(view, desk.store.tokens.make(view.owner))
        elif what == "revoke":
            desk.store.tokens.revoke(view.owner)
        elif project is not None:
            here, step = self._act_on(view, project, str(what), str(data.get("name", "")))
        return self.shell.at(View(desk, view.owner, here, view.language, step))

    def _act_on(self, view: View, project: Project, what: str, name: str) -> tuple[Project | None, str]:
        """Where the visitor is afterwards."""
        desk = view.desk
        if what == "open":
            return project, desk.where_to_go_on(project)
        if what == "rename":
            desk.intake.rename(project, name)
        elif what == "duplicate":
            return desk.intake.duplicate(project, view.language), STEPS[0]
        elif what == "hurry":
            job = desk.jobs.latest(project.id)
            if job is not None:
                desk.jobs.hurry(job, {mine.id for mine in desk.all_mine(view.owner)})
        elif what == "begin":
            desk.start_now(project)
        elif what == "call_off":
            desk.call_off(project)
        elif what == "delete":
            desk.delete(project)
        return desk.mine(view.project.id if view.project else None, view.owner), view.step

    def _account(self, view: View) -> dict[str, Any]:
        """Who is signed in, and where one signs in or out; an empty address: nowhere."""
        desk = view.desk
        account = desk.accounts.of(view.owner)
        with_hub = oauth_ready(desk.settings)
        return {
            "name": printable(account.name) if account else "",
            "enter": "login/huggingface" if with_hub and account is None else "",
            "leave": "logout" if account is not None else "",
        }

    def _row(self, view: View, project: Project) -> dict[str, Any]:
        desk = view.desk
        job = desk.jobs.latest(project.id)
        snapshot = desk.jobs.snapshot(job) if job else None
        photos = desk.store.count_photos(project.id)
        if snapshot is not None and snapshot.state not in FINISHED:
            state = "planned" if snapshot.start_at else snapshot.state.value
        elif snapshot is not None and snapshot.state.value == "failed":
            state = "failed"
        else:
            state = "ready" if (project.folder / "train_package.zip").is_file() else "draft"
        return {
            "id": project.id,
            "name": printable(project.name),
            "state": state,
            "count": photos,
            "start": snapshot.start_at if snapshot is not None else 0.0,
        }
