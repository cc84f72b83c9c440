"""Who writes the captions: this machine, or a vision model that the visitor names. A part of Caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import SecretStr

from lora_builder.caption.endpoints import PRESETS
from lora_builder.caption.policy import POLICIES
from lora_builder.caption.probe import Probed, probe
from lora_builder.errors import BadInput, BadSettings
from lora_builder.ui import outward, presenters
from lora_builder.ui.desk import AGREED
from lora_builder.ui.editors import model_list, templates
from lora_builder.ui.static import script
from lora_builder.ui.steps import Updates, View, place
from lora_builder.ui.texts import tr, words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

NOT_REMEMBERED = gr.InputHTMLAttributes(autocomplete="new-password")
"""No browser offers to keep the key."""

TESTS_AN_HOUR = 60
"""Connection tests and lists of models that a visitor of a shared app may ask for in an hour."""

FAILED = ("block", "compose", "leave_out")
CHOICES = {"caption_policy": ("auto", *POLICIES), "caption_style": ("prose", "tags"),
           "caption_language": ("en", "zh", "both")}  # fmt: skip
"""Settings of the prompt offered, with their values."""


class Endpoints:
    """The form, the list by priority, the consent, the sums of the ledger and the prompt's templates."""

    def build(self, shell: Shell) -> None:
        self.shell = shell
        local = shell.desk.local
        presets = [preset for preset in PRESETS.values() if local or preset.leaves]
        with gr.Accordion(tr("model_here", "en"), open=False, elem_id="ldb-model") as self.fold:
            with gr.Row():
                self.preset = gr.Dropdown(
                    [*((preset.title, preset.name) for preset in presets), ("-", "")],
                    value=presets[0].name,
                    elem_id="ldb-model-preset",
                    min_width=220,
                )
                self.url = gr.Textbox(presets[0].url, max_lines=1, elem_id="ldb-model-url", min_width=260)
            self.about = gr.HTML(elem_id="ldb-model-about")
            with gr.Row():
                self.key = gr.Textbox(
                    type="password",
                    max_lines=1,
                    html_attributes=NOT_REMEMBERED,
                    elem_id="ldb-model-key",
                    min_width=260,
                )
                self.models = gr.Dropdown(
                    [presets[0].model],
                    value=[presets[0].model],
                    multiselect=True,
                    allow_custom_value=True,
                    elem_id="ldb-model-models",
                    min_width=260,
                )
            with gr.Row():
                self.ask_list = gr.Button(elem_id="ldb-model-list", size="md", min_width=160)
                self.test = gr.Button(elem_id="ldb-model-test", size="md", min_width=160)
                self.use = gr.Button(elem_id="ldb-model-use", size="md", variant="primary", min_width=160)
                self.stop = gr.Button(elem_id="ldb-model-stop", size="md", visible=False, min_width=160)
            self.said = gr.HTML(elem_id="ldb-model-said")
            self.list = _scripted("ldb-models", "models.js", [shell.serve(self.arrange_models)])
            self.failed = gr.Dropdown(list(FAILED), value=FAILED[0], min_width=260)
            with gr.Accordion(tr("model_prompt", "en"), open=False, elem_id="ldb-prompt") as self.prompt_fold:
                with gr.Row():
                    self.choices = {
                        name: gr.Dropdown(list(values), value=values[0], min_width=150)
                        for name, values in CHOICES.items()
                    }
                asked = (
                    self.open_templates, self.choose_template, self.preview_template, self.save_template,
                    self.delete_template, self.export_template, self.import_template,
                )  # fmt: skip
                self.prompts = _scripted("ldb-prompts", "prompts.js", [shell.serve(each) for each in asked])
        with gr.Row(visible=False, elem_classes="ldb-line") as self.consent:
            self.agree = gr.Checkbox(False, elem_id="ldb-model-agree", scale=5, min_width=260)
            self.start = gr.Button(elem_id="ldb-model-start", size="md", scale=0, min_width=180)
        self.sums = gr.HTML(elem_id="ldb-model-sums")
        self.form = [self.url, self.key, self.models]
        self.consented_to = [self.consent, self.agree, self.start]
        # What a job's end shows anew must not take away what is being typed.
        shell.typed += [
            self.preset, *self.form, self.failed, self.about, self.said, *self.choices.values(),
        ]  # fmt: skip

    def outputs(self) -> list[Any]:
        return [
            self.fold, self.preset, self.about, *self.form, self.failed, self.ask_list, self.test, self.use,
            self.stop, self.said, self.list, self.consent, self.agree, self.start, self.sums,
            self.prompt_fold, *self.choices.values(), self.prompts,
        ]  # fmt: skip

    def words(self, language: str) -> Updates:
        def label(key: str, info: bool = False) -> Any:
            more = {"info": tr(f"{key}_info", language)} if info else {}
            return gr.update(label=tr(key, language), **more)

        presets = [p for p in PRESETS.values() if self.shell.desk.local or p.leaves]
        known = [*((p.title, p.name) for p in presets), (tr("model_custom", language), "")]
        failed = [(tr(f"model_failed_{name}", language), name) for name in FAILED]
        buttons = {"list": self.ask_list, "test": self.test, "use": self.use, "stop": self.stop,
                   "start": self.start}  # fmt: skip
        return {
            self.preset: {**label("model_preset"), "choices": known},
            self.url: label("model_url"),
            self.key: label("model_key", info=True),
            self.models: label("model_models", info=True),
            self.failed: {**label("model_failed"), "choices": failed},
            self.prompt_fold: label("model_prompt"),
            **{
                box: {
                    **label(f"model_{name[8:]}"),
                    "choices": [
                        (tr(f"model_{name[8:]}_{value}", language), value) for value in CHOICES[name]
                    ],
                }
                for name, box in self.choices.items()
            },
            **{button: gr.update(value=tr(f"model_{name}", language)) for name, button in buttons.items()},
        }

    def show(self, view: View) -> Updates:
        chosen = outward.read(view.desk.store, view.theirs) if view.project else None
        settings, language = view.settings, view.language
        updates: Updates = {
            self.fold: gr.update(label=_title(chosen, language)),
            self.failed: gr.update(value=settings.failed_captions),
            self.stop: gr.update(visible=chosen is not None),
            self.said: "",
            self.sums: model_list.sums(view),
            self.list: self._list(view),
            self.prompts: self._prompts(view),
            **{box: gr.update(value=getattr(settings, name)) for name, box in self.choices.items()},
            **self._consent(view, chosen),
        }
        return {**updates, self.key: _key_box(view, ""), **self._preset(view, next(iter(self.offered(view))))}

    def offered(self, view: View) -> list[str]:
        """The presets that make sense here: on a shared app none of the machine's own programs."""
        return [preset.name for preset in PRESETS.values() if view.desk.local or preset.leaves]

    def wire(self, shell: Shell) -> None:
        whole = shell.everything()
        filled = [self.preset, self.about, self.url, self.key, self.models, self.said]
        shell.on(self.preset.input, self.fill, [self.preset], filled)
        shell.on(self.url.change, self.typed_url, [self.url, self.preset], [self.preset, self.about])
        shell.on(self.ask_list.click, self.read_list, self.form, [self.said, self.models])
        shell.on(self.test.click, self.try_it, self.form, [self.said])
        shell.on(self.use.click, self.save, [*self.form, self.failed], whole)
        shell.on(self.stop.click, self.leave, [], whole)
        shell.on(self.agree.input, self.consented, [self.agree], [self.start])
        shell.on(self.start.click, self.write, [], whole)
        shell.on(self.list.changed, self.relisted, [], [self.fold, self.stop, *self.consented_to])
        shell.on(self.prompts.changed, lambda view: {}, [], [])
        for name, box in self.choices.items():
            shell.on(box.input, self._set(name), [box], [self.prompts])

    # Handlers

    def fill(self, view: View, name: str) -> Updates:
        """A preset's address and model, and what to know about it."""
        updates = self._preset(view, name)
        url = PRESETS[name].url if name in PRESETS else ""
        return {**updates, self.key: _key_box(view, url), self.said: ""}

    def typed_url(self, view: View, url: str, shown: str) -> Updates:
        """Which service an address is of; several programs share one, then the one that is shown."""
        same = [p.name for p in PRESETS.values() if p.url == (url or "").strip().rstrip("/")]
        name = shown if shown in same else next(iter(same), "")
        return {self.preset: gr.update(value=name), self.about: about(name, view.language)}

    def read_list(self, view: View, url: str, key: str, models: list[str]) -> Updates:
        """The server's models, to choose from."""
        found = self._probe(view, url, key, "")
        if not found.good:
            return {self.said: _said(found, view.language)}
        names = list(dict.fromkeys([*found.models, *(models or [])]))
        counted = presenters.hint(tr("model_listed", view.language, n=len(found.models)))
        return {self.said: counted, self.models: gr.update(choices=names)}

    def try_it(self, view: View, url: str, key: str, models: list[str]) -> Updates:
        """Sends the first model a tiny picture of nobody; what came back, in the server's words."""
        if not models:
            raise BadSettings(tr("model_name_one", view.language))
        return {self.said: _said(self._probe(view, url, key, models[0]), view.language)}

    def save(self, view: View, url: str, key: str, models: list[str], failed: str) -> Updates:
        """These models are asked from now on, after those that are in the list already.

        Nothing is sent before the visitor agreed to their host.
        """
        desk = view.desk
        fresh = outward.checked(url, models or [], desk.settings)
        secret = _secret(view, fresh[0].url, key)
        before = outward.read(desk.store, view.theirs)
        desk.set_settings(view.theirs, {"failed_captions": failed if failed in FAILED else FAILED[0]})
        chosen = outward.added(before, fresh, bool(secret.get_secret_value()))
        outward.write(desk.store, view.theirs, chosen)
        updates = self.shell.at(view)
        return {**updates, self.said: presenters.hint(tr("model_saved", view.language))}

    def leave(self, view: View) -> Updates:
        """The captions are written as without an endpoint of one's own; its keys are forgotten."""
        outward.write(view.desk.store, view.theirs, None)
        view.desk.keys.forget(view.owner)
        return self.shell.at(view)

    def consented(self, view: View, yes: bool) -> Updates:
        """Notes that pictures may go to the host that was shown, or may not."""
        chosen, store = outward.read(view.desk.store, view.theirs), view.desk.store
        if chosen is not None:
            outward.agree(store, view.theirs, chosen, bool(yes))
        else:
            wanted = outward.machine_hosts(view.settings) if yes else ""
            store.notes.write(view.theirs.id, AGREED, {"hosts": wanted})
        return {self.start: gr.update(interactive=bool(yes))}

    def relisted(self, view: View) -> Updates:
        """The list was arranged anew: what its title, consent and buttons say."""
        chosen = outward.read(view.desk.store, view.theirs)
        return {
            self.fold: gr.update(label=_title(chosen, view.language)),
            self.stop: gr.update(visible=chosen is not None),
            **self._consent(view, chosen),
        }

    def write(self, view: View) -> Updates:
        """Captions now."""
        view.desk.run(view.theirs, "caption")
        return self.shell.at(view)

    # Parts

    def _set(self, name: str) -> Any:
        def keep(view: View, value: str) -> Updates:
            view.desk.set_settings(view.theirs, {name: value})
            return {self.prompts: self._prompts(view)}

        return keep

    def _preset(self, view: View, name: str) -> Updates:
        preset = PRESETS.get(name)
        models = [preset.model] if preset else []
        return {
            self.preset: gr.update(value=name if preset else ""),
            self.about: about(name, view.language),
            self.url: gr.update(value=preset.url if preset else ""),
            self.models: gr.update(value=models, choices=models),
        }

    def _probe(self, view: View, url: str, key: str, model: str) -> Probed:
        desk = view.desk
        if not desk.local and not desk.quotas.take("test", TESTS_AN_HOUR, view.owner, 1):
            raise BadInput(tr("model_too_many_tests", view.language, n=TESTS_AN_HOUR))
        where = outward.checked(url, [model or "any"], desk.settings)[0].url
        secret = _secret(view, where, key)
        return probe(outward.place(where, secret, desk.settings, view.owner, desk.local), model, desk.store)

    def _consent(self, view: View, chosen: outward.Outside | None) -> Updates:
        wanted = outward.machine_hosts(view.settings) if view.project and chosen is None else ""
        host = ", ".join(chosen.hosts) if chosen else wanted
        if not host:
            return {self.consent: gr.update(visible=False)}
        noted = view.desk.store.notes.read(view.theirs.id, AGREED).get("hosts", "")
        agreed = chosen.may_send if chosen else noted == host
        count = model_list.pictures(view)
        key = "model_agree_one" if count == 1 else "model_agree"
        label = tr(key, view.language, n=count, host=host)
        if chosen and chosen.looks:
            label += " " + tr("model_agree_whole", view.language)
        return {
            self.consent: gr.update(visible=True),
            self.agree: gr.update(label=label, value=agreed),
            self.start: gr.update(interactive=agreed),
        }

    def _list(self, view: View) -> dict[str, Any]:
        words = words_for("models_", view.language)
        return {**place(view), "words": words, "models": model_list.listed(view)}

    def _prompts(self, view: View) -> dict[str, Any]:
        rules = [getattr(view.settings, name) for name in CHOICES] if view.project else []
        moment = view.desk.jobs.latest(view.theirs.id) if view.project else None
        words = words_for("prompt_", view.language)
        return {**place(view), "words": words, "rules": rules, "moment": [moment, view.busy]}

    # For the scripts

    def arrange_models(self, view: View, sent: dict[str, Any]) -> Any:
        """Saves the list of models as it was arranged."""
        return model_list.arranged(view, sent)

    def open_templates(self, view: View, sent: dict[str, Any]) -> Any:
        """The templates, and the prompt for one photo."""
        return templates.opened(view)

    def choose_template(self, view: View, sent: dict[str, Any]) -> Any:
        """Takes another template."""
        return templates.chosen(view, sent)

    def preview_template(self, view: View, sent: dict[str, Any]) -> Any:
        """The prompt that an edited template gives."""
        return templates.previewed(view, sent)

    def save_template(self, view: View, sent: dict[str, Any]) -> Any:
        """Keeps a template and takes it."""
        return templates.saved(view, sent)

    def delete_template(self, view: View, sent: dict[str, Any]) -> Any:
        """Forgets one of the visitor's own."""
        return templates.deleted(view, sent)

    def export_template(self, view: View, sent: dict[str, Any]) -> Any:
        """A template as a file."""
        return templates.exported(view, sent)

    def import_template(self, view: View, sent: dict[str, Any]) -> Any:
        """The template of a file."""
        return templates.imported(view, sent)


def _scripted(name: str, file: str, served: list[Any]) -> gr.HTML:
    return gr.HTML(
        {},
        html_template=f'<div class="{name}"></div>',
        js_on_load=script(file),
        server_functions=served,
        apply_default_css=False,
        elem_id=f"{name}-body",
    )


def _secret(view: View, url: str, typed: str) -> SecretStr:
    """The key that was typed, remembered for that address; else the one that is remembered."""
    typed = (typed or "").strip()
    if typed:
        if len(typed) > outward.LONGEST or not typed.isascii() or not typed.isprintable():
            raise BadSettings("That is no key.", "Copy it again from where you got it.")
        view.desk.keys.keep(view.owner, url, SecretStr(typed))
    return view.desk.keys.of(view.owner, url)


def _key_box(view: View, url: str) -> Any:
    kept = bool(url) and bool(view.desk.keys.of(view.owner, url).get_secret_value())
    return gr.update(value="", placeholder=tr("model_key_kept", view.language) if kept else "")


def _title(chosen: outward.Outside | None, language: str) -> str:
    if chosen is None:
        return tr("model_here", language)
    names = ", ".join(named.model for named in chosen.models if named.captions)
    return tr("model_out", language, models=names, host=", ".join(chosen.hosts))


def about(name: str, language: str) -> str:
    """Where to get a key for a preset, and whether photos leave the machine."""
    preset = PRESETS.get(name)
    if preset is None:
        return presenters.hint(tr("model_custom_info", language))
    key = tr("model_key_from", language, url=preset.key_from) if preset.key_from else ""
    where = tr("model_leaves" if preset.leaves else "model_stays", language)
    return presenters.hint(f"{where} {key or tr('model_no_key', language)}")


def _said(found: Probed, language: str) -> str:
    if not found.good:
        return presenters.notice(found.said)
    figures = {"model": found.model, "host": found.host, "seconds": f"{found.seconds:.1f}"}
    return presenters.hint(tr("model_answers", language, **figures, said=found.said))
