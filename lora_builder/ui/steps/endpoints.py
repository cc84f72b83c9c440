"""Who writes the captions: this machine, or a vision model that the visitor names. A part of Caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import SecretStr

from lora_builder import measure
from lora_builder.caption.asking import CaptionTask, prompt_for, template_of, templates_of
from lora_builder.caption.endpoints import PRESETS
from lora_builder.caption.policy import POLICIES
from lora_builder.caption.probe import Probed, probe
from lora_builder.caption.prompts import BUILT_IN
from lora_builder.caption.records import USER, ModelSums
from lora_builder.errors import BadSettings
from lora_builder.settings import Settings
from lora_builder.ui import outward, presenters
from lora_builder.ui.desk import AGREED
from lora_builder.ui.editors import captions, crop
from lora_builder.ui.presenters import text
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.texts import tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

NOT_REMEMBERED = gr.InputHTMLAttributes(autocomplete="new-password")
"""No browser offers to keep the key."""

FAILED = ("block", "compose", "leave_out")
CHOICES = {"caption_policy": ("auto", *POLICIES), "caption_style": ("prose", "tags"),
           "caption_language": ("en", "zh", "both")}  # fmt: skip
"""Settings of the prompt offered, with their values."""


class Endpoints:
    """The form, the consent, the sums of the ledger and the prompt."""

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
                self.fallback = gr.Textbox(max_lines=1, min_width=260, elem_id="ldb-model-fallback")
                self.failed = gr.Dropdown(list(FAILED), value=FAILED[0], min_width=260)
            with gr.Row():
                self.list = gr.Button(elem_id="ldb-model-list", size="md", min_width=160)
                self.test = gr.Button(elem_id="ldb-model-test", size="md", min_width=160)
                self.use = gr.Button(elem_id="ldb-model-use", size="md", variant="primary", min_width=160)
                self.stop = gr.Button(elem_id="ldb-model-stop", size="md", visible=False, min_width=160)
            self.said = gr.HTML(elem_id="ldb-model-said")
            with gr.Accordion(tr("model_prompt", "en"), open=False, elem_id="ldb-prompt") as self.prompt_fold:
                with gr.Row():
                    self.choices = {
                        name: gr.Dropdown(list(values), value=values[0], min_width=150)
                        for name, values in CHOICES.items()
                    }
                    self.template = gr.Dropdown(list(BUILT_IN), value="standard", min_width=150)
                self.prompt = gr.HTML(elem_id="ldb-prompt-text")
        with gr.Row(visible=False, elem_classes="ldb-line") as self.consent:
            self.agree = gr.Checkbox(False, elem_id="ldb-model-agree", scale=5, min_width=260)
            self.start = gr.Button(elem_id="ldb-model-start", size="md", scale=0, min_width=180)
        self.sums = gr.HTML(elem_id="ldb-model-sums")
        self.form = [self.url, self.key, self.models]
        # What a job's end shows anew must not take away what is being typed.
        shell.typed += [
            self.preset, *self.form, self.fallback, self.failed, self.about, self.said, self.template,
            *self.choices.values(),
        ]  # fmt: skip

    def outputs(self) -> list[Any]:
        return [
            self.fold, self.preset, self.about, *self.form, self.fallback, self.failed, self.list, self.test,
            self.use, self.stop, self.said, self.consent, self.agree, self.start, self.sums,
            self.prompt_fold, *self.choices.values(), self.template, self.prompt,
        ]  # fmt: skip

    def words(self, language: str) -> Updates:
        def label(key: str, info: bool = False) -> Any:
            more = {"info": tr(f"{key}_info", language)} if info else {}
            return gr.update(label=tr(key, language), **more)

        presets = [p for p in PRESETS.values() if self.shell.desk.local or p.leaves]
        known = [*((p.title, p.name) for p in presets), (tr("model_custom", language), "")]
        failed = [(tr(f"model_failed_{name}", language), name) for name in FAILED]
        buttons = {"list": self.list, "test": self.test, "use": self.use, "stop": self.stop,
                   "start": self.start}  # fmt: skip
        return {
            self.preset: {**label("model_preset"), "choices": known},
            self.url: label("model_url"),
            self.key: label("model_key", info=True),
            self.models: label("model_models", info=True),
            self.fallback: label("model_fallback", info=True),
            self.failed: {**label("model_failed"), "choices": failed},
            self.prompt_fold: label("model_prompt"),
            self.template: label("model_template"),
            **{box: label(f"model_{name[8:]}") for name, box in self.choices.items()},
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
            self.sums: sums(view),
            self.template: gr.update(value=settings.caption_template, choices=_templates(view)),
            self.prompt: prompt(view),
            **{box: gr.update(value=getattr(settings, name)) for name, box in self.choices.items()},
            **self._consent(view, chosen),
        }
        if chosen is None:
            return {**updates, self.key: _key_box(view, ""), **self._preset(view, next(iter(PRESETS)))}
        name = next((p.name for p in PRESETS.values() if p.url == chosen.url), "")
        return {
            **updates,
            self.preset: gr.update(value=name),
            self.about: about(name, language),
            self.url: gr.update(value=chosen.url),
            self.key: _key_box(view, chosen.url),
            self.models: gr.update(value=list(chosen.models), choices=list(chosen.models)),
            self.fallback: gr.update(value=chosen.fallback),
        }

    def wire(self, shell: Shell) -> None:
        whole = shell.everything()
        filled = [self.preset, self.about, self.url, self.key, self.models, self.said]
        shell.on(self.preset.input, self.fill, [self.preset], filled)
        shell.on(self.url.change, self.typed_url, [self.url, self.preset], [self.preset, self.about])
        shell.on(self.list.click, self.read_list, self.form, [self.said, self.models])
        shell.on(self.test.click, self.try_it, self.form, [self.said])
        shell.on(self.use.click, self.save, [*self.form, self.fallback, self.failed], whole)
        shell.on(self.stop.click, self.leave, [], whole)
        shell.on(self.agree.input, self.consented, [self.agree], [self.start])
        shell.on(self.start.click, self.write, [], whole)
        for name, box in {**self.choices, "caption_template": self.template}.items():
            shell.on(box.input, self._set(name), [box], [self.prompt])

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

    def save(self, view: View, url: str, key: str, models: list[str], fallback: str, failed: str) -> Updates:
        """This endpoint writes from now on; nothing is sent before the visitor agreed to its host."""
        desk = view.desk
        chosen = outward.checked(url, models or [], fallback or "", desk.settings)
        secret = _secret(view, chosen.url, key)
        before = outward.read(desk.store, view.theirs)
        agreed = before.agreed if before and before.host == chosen.host else ""
        desk.set_settings(view.theirs, {"failed_captions": failed if failed in FAILED else FAILED[0]})
        keyed = bool(secret.get_secret_value())
        fields = (chosen.url, chosen.models, chosen.fallback, keyed, agreed)
        outward.write(desk.store, view.theirs, outward.Outside(*fields))
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

    def write(self, view: View) -> Updates:
        """Captions now."""
        view.desk.run(view.theirs, "caption")
        return self.shell.at(view)

    # Parts

    def _set(self, name: str) -> Any:
        def keep(view: View, value: str) -> Updates:
            view.desk.set_settings(view.theirs, {name: value})
            return {self.prompt: prompt(view)}

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
        where = outward.checked(url, [model or "any"], "", desk.settings).url
        secret = _secret(view, where, key)
        return probe(outward.place(where, secret, desk.settings, view.owner, desk.local), model, desk.store)

    def _consent(self, view: View, chosen: outward.Outside | None) -> Updates:
        host = chosen.host if chosen else outward.machine_hosts(view.settings) if view.project else ""
        if not host:
            return {self.consent: gr.update(visible=False)}
        noted = view.desk.store.notes.read(view.theirs.id, AGREED).get("hosts", "")
        agreed = (chosen.agreed if chosen else noted) == host
        count = pictures(view)
        key = "model_agree_one" if count == 1 else "model_agree"
        label = tr(key, view.language, n=count, host=host)
        return {
            self.consent: gr.update(visible=True),
            self.agree: gr.update(label=label, value=agreed),
            self.start: gr.update(interactive=agreed),
        }


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
    return tr("model_out", language, models=", ".join(chosen.models), host=chosen.host)


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


def pictures(view: View) -> int:
    """How many pictures a run sends at most: all that it keeps, without what the user wrote or locked."""
    known = captions.entries(view)
    if known and view.desk.marks(view.theirs)["choose"] == "done":
        return sum(not entry.locked and entry.author != USER for entry in known.values())
    photos, _ = view.desk.store.photos(view.theirs.id)
    return len(photos) * (1 + len(view.settings.extra_crops))


def sums(view: View) -> str:
    """What each model did for the project, as a table; empty where none was asked."""
    lines = view.desk.store.ledger.sums(view.theirs.id) if view.project else []
    if not lines:
        return ""
    names = ("model", "requests", "pictures", "tokens", "cost", "seconds", "failures")
    head = "".join(f'<th scope="col">{text(tr(f"model_column_{n}", view.language))}</th>' for n in names)
    body = "".join(f"<tr>{''.join(_cells(line, view.language))}</tr>" for line in lines)
    title = text(tr("model_sums", view.language))
    return (
        f'<div class="ldb-sums"><table><caption>{title}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(line: ModelSums, language: str) -> list[str]:
    cost = tr("model_unknown", language) if line.cost is None else f"${line.cost:,.4f}" if line.cost else "$0"
    failures = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in line.failures.items())
    values = (
        f"{line.requests:,}",
        f"{line.pictures:,}",
        f"{line.tokens_in:,} / {line.tokens_out:,}",
        cost,
        f"{line.seconds / max(1, line.requests):.1f}",
        failures or "0",
    )
    who = f'<th scope="row">{text(line.model)}<br><small>{text(line.host)}</small></th>'
    return [who, *(f"<td>{text(value)}</td>" for value in values)]


def prompt(view: View) -> str:
    """The prompt as it would go out with the first photo that is kept."""
    kept = view.desk.store.decisions(view.theirs.id) if view.project else []
    key = next((decision.sha256 for decision in kept if decision.verdict == "kept"), "")
    if key:
        hand = crop.hand_of(view, {"key": key})[1]
        settings: Settings = view.settings
        shot = measure.shot(hand.measurement, hand.subject)
        task = CaptionTask(
            key, hand.decision.source, hand.measurement, hand.subject, shot, hand.crops.get(""), None
        )
        filled = prompt_for(template_of(view.desk.store, view.theirs.id, settings), task, settings)
        name = presenters.hint(tr("model_prompt_of", view.language, name=hand.decision.source))
        return f'{name}<pre class="ldb-prompt">{_lines(filled.system)}\n\n{_lines(filled.user)}</pre>'
    return presenters.hint(tr("model_no_photo", view.language))


def _lines(words: str) -> str:
    """A text of several lines as HTML: each line by itself, for `text` makes one of them."""
    return "\n".join(text(line) for line in words.splitlines())


def _templates(view: View) -> list[str]:
    return list(templates_of(view.desk.store, view.owner))
