"""Push to the Hub: with the visitor's own account or token, private unless they say else. Part of Export."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder.explain import printable
from lora_builder.export import hub, packages
from lora_builder.export.hub import Progress, Pushed
from lora_builder.files import locked
from lora_builder.settings import Settings, load
from lora_builder.store import Project
from lora_builder.ui.accounts import oauth_ready
from lora_builder.ui.desk import Desk
from lora_builder.ui.editors.sent import text_of
from lora_builder.ui.pushes import Push, PushState
from lora_builder.ui.said import said
from lora_builder.ui.stamps import MACHINE, OUTWARD, READ_FROM
from lora_builder.ui.static import script
from lora_builder.ui.steps import Updates, View, place
from lora_builder.ui.texts import tr, words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

NOTE = "push"
"""Kind of the note that keeps what was typed for the next push; never the token."""

MACHINES_TOKEN = "HF_TOKEN"
"""Environment variable with the token of whoever sits at this machine."""

LONGEST = 400
"""Characters of a token or a repository's name."""


class PushToHub:
    """The form, and how far the push is."""

    def build(self, shell: Shell) -> None:
        self.body = gr.HTML(
            {},
            html_template='<div class="ldb-push"></div>',
            js_on_load=script("push.js"),
            server_functions=[
                shell.serve(function) for function in (self.pushing, self.start_push, self.stop_push)
            ],
            apply_default_css=False,
            elem_id="ldb-push",
        )

    def outputs(self) -> list[Any]:
        return [self.body]

    def show(self, view: View) -> Updates:
        """Where to ask, and whether there is anything to push."""
        ready = view.project is not None and (view.theirs.folder / "train_package.zip").is_file()
        value = {"ready": ready, "busy": view.busy, "words": words_for("push_", view.language)}
        return {self.body: {**place(view), **value}}

    # Called by the script

    def pushing(self, view: View, data: dict[str, Any]) -> Any:
        """How the push stands, with whose token, and what was typed the last time."""
        desk, project = view.desk, view.theirs
        account = desk.accounts.of(view.owner)
        kept = desk.store.notes.read(project.id, NOTE)
        by = _whose(desk, view.owner)
        name = account.name if account is not None and by == "account" else ""
        settings = view.settings
        return {
            "by": by,
            "name": printable(name),
            "sign_in": oauth_ready(desk.settings) and by != "account",
            "repository": kept.get("repository") or _suggested(name, project),
            "licence": kept.get("licence", settings.licence),
            "consent": kept.get("consent", settings.consent),
            "push": _shown(desk.pushes.of(project.id), view.language),
        }

    def start_push(self, view: View, data: dict[str, Any]) -> Any:
        """Begins to push. The token that came with the request goes to the push and nowhere else."""
        desk, project = view.desk, view.theirs
        typed = {name: text_of(view, data, name) for name in ("licence", "consent")}
        typed["repository"] = text_of(view, data, "repository", LONGEST).strip()
        token = _token(desk, view.owner) or text_of(view, data, "token", LONGEST).strip()
        settings = _as_packed(view.settings, project, typed)
        public = data.get("public") is True
        hub.check(settings, typed["repository"], token, public)
        images = packages.read_project(project.folder)
        decisions = desk.store.decisions(project.id)

        def work(progress: Progress) -> Pushed:
            with locked(project.folder):
                return hub.push(
                    images,
                    decisions,
                    settings,
                    typed["repository"],
                    token,
                    public=public,
                    coverage=hub.coverage_of_report(project.folder),
                    progress=progress,
                )

        desk.pushes.start(project.id, work)
        desk.store.notes.write(project.id, NOTE, typed)
        return self.pushing(view, data)

    def stop_push(self, view: View, data: dict[str, Any]) -> Any:
        """Asks the push to end."""
        view.desk.pushes.stop(view.theirs.id)
        return self.pushing(view, data)


def _token(desk: Desk, owner: str) -> str:
    """The token that need not be typed: the account's, or the machine's where its owner sits there."""
    return desk.accounts.hub_token(owner) or (os.environ.get(MACHINES_TOKEN, "") if desk.local else "")


def _whose(desk: Desk, owner: str) -> str:
    """With whose token a push would be: `account`, `machine`, or one to be `typed`."""
    if desk.accounts.hub_token(owner):
        return "account"
    return "machine" if _token(desk, owner) else "typed"


def _suggested(name: str, project: Project) -> str:
    """A name that the Hub takes, of the project's."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in project.name).strip("-").lower()
    return f"{name}/{kept or 'portraits'}" if name else ""


def _as_packed(settings: Settings, project: Project, typed: Mapping[str, str]) -> Settings:
    """The settings that the dataset was made with: what was moved since is in no picture yet."""
    apart = MACHINE | OUTWARD | READ_FROM
    made = {n: v for n, v in packages.project_settings(project.folder).items() if n not in apart}
    card = {name: typed[name].strip() for name in ("licence", "consent")}
    return load(**(settings.model_dump() | made | card))


def _shown(push: Push | None, language: str) -> dict[str, Any] | None:
    if push is None:
        return None
    ours = push.state is PushState.FAILED and not push.error
    result = push.result
    return {
        "state": push.state.value,
        "done": push.done,
        "total": push.total,
        "error": tr("progress_bug", language) if ours else said(push.error, language),
        "remedy": tr("progress_bug_remedy", language) if ours else said(push.remedy, language),
        "url": result.url if result else "",
        "private": result.private if result else True,
    }
