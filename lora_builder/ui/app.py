"""Starts the app: host, look, services."""

from __future__ import annotations

import ipaddress
import os
import signal
import threading
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from lora_builder import logs
from lora_builder.files import sweep
from lora_builder.passwords import Passwords
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.ui import door, fence, operations, sessions
from lora_builder.ui.accounts import Accounts, KnowAccounts, gradio_auth, login_key, oauth_ready
from lora_builder.ui.api import Api
from lora_builder.ui.desk import Desk
from lora_builder.ui.janitor import Janitor
from lora_builder.ui.outward import Keys
from lora_builder.ui.quotas import Quotas
from lora_builder.ui.runs import jobs_of
from lora_builder.ui.shell import Shell
from lora_builder.ui.static import FOLDER
from lora_builder.ui.texts import tr

SPACE_RETENTION_H = 24
"""Hours without use after which a public Space deletes a project."""

CACHE_AGE_S = 24 * 3600
"""Uploads never built and downloads already fetched are removed after this long."""


def launch(settings: Settings) -> None:
    """Serves the app until it is stopped. Host and port: GRADIO_SERVER_NAME, GRADIO_SERVER_PORT."""
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    os.environ["GRADIO_TEMP_DIR"] = str(settings.data_dir / "uploads")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # `docker stop` ends it as Ctrl-C does
    settings = hosted(settings)
    logs.start(settings)
    sweep(settings.data_dir)
    local = is_local(host) and not settings.share and not settings.behind_proxy
    if settings.share:
        print(tr("share_warning", "en"), flush=True)
    with Store(settings.database) as store:
        keys, passwords = Keys(), Passwords(settings)
        quotas = Quotas(settings.address_visitors, settings.all_visitors)
        desk = Desk(
            settings,
            store,
            jobs_of(store, settings, keys, local, quotas),
            local,
            keys=keys,
            accounts=Accounts(login_key(settings)),
            quotas=quotas,
        )
        janitor = Janitor(desk)
        try:
            desk.intake.tidy()
            desk.jobs.resume()
            janitor.start()
            page = build(desk)
            _, address, _ = page.launch(
                server_name=host,
                share=settings.share,
                auth=gradio_auth(passwords),
                quiet=True,
                prevent_thread_lock=True,
                ssr_mode=False,
                run_history=False,
                footer_links=[],
                max_file_size=settings.max_upload_mb * 2**20,
                theme=theme(),
                css_paths=FOLDER / "style.css",
                state_session_capacity=sessions.MOST,
                app_kwargs={
                    "routes": door.routes(desk.signer, desk.read_picture, desk.file_of)
                    + operations.routes(settings, store),
                    "middleware": [*_middleware(desk, passwords), sessions.middleware(page)],
                },
            )
            print(f"{tr('title', 'en')} is open at {address} (Ctrl-C stops it)", flush=True)
            page.block_thread()
        finally:
            janitor.stop()
            desk.jobs.close()


def _middleware(desk: Desk, passwords: Passwords) -> list[Middleware]:
    """What stands before Gradio's routes."""
    who = Middleware(
        KnowAccounts,
        accounts=desk.accounts,
        passwords=passwords,
        settings=desk.settings,
        hand_over=desk.hand_over,
    )
    return fence.middleware(fence.Fence(desk.settings, desk.local, desk.quotas), [who]) + door.middleware()


def hosted(settings: Settings) -> Settings:
    """On a Space, where everybody comes, photos are deleted after a day unless the owner says else."""
    if not os.environ.get("SPACE_ID") or "retention_hours" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"retention_hours": SPACE_RETENTION_H})


def is_local(host: str) -> bool:
    """Whether only this machine can open the page."""
    if os.environ.get("SPACE_ID"):
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def theme() -> Any:
    """Quiet colours and the system's own fonts: no font is fetched from anywhere."""
    return gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Noto Sans CJK SC", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        block_border_width="1px",
        block_shadow="none",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_shadow="none",
        checkbox_border_color="*neutral_400",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="*neutral_300",
        button_secondary_border_color="*neutral_300",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
    )


def build(desk: Desk) -> gr.Blocks:
    """The page, ready to launch."""
    with gr.Blocks(
        title=tr("title", "en"), analytics_enabled=False, fill_width=True, delete_cache=(3600, CACHE_AGE_S)
    ) as blocks:
        if oauth_ready(desk.settings):
            # Gradio adds the routes that talk with the Hub to a page that holds this button. The one that
            # people see is the sidebar's: it speaks their language and brings them back to where they were.
            gr.LoginButton(visible=False)
        Shell(desk).wire(blocks)
        Api(desk).publish()
    return blocks
