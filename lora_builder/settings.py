"""Every setting once: type, default, range, help.

Read, strongest first, from: arguments (CLI flags, the app's controls), the environment, `.env`, and
the TOML file named by `LORA_CONFIG` (default `lora-dataset-builder.toml` in the working folder).
A setting's environment name is its own name in capitals; the data folder's is `LORA_DATA_DIR`.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lora_builder.base_models import PORTRAIT_SIZES
from lora_builder.errors import BadSettings

PRIVATE_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")
"""Where a Space's proxies are (RFC 1918, RFC 4193)."""

BUCKET_STEP = 8
"""Sides of training images are multiples of this: the VAE's downsampling factor."""


def config_file() -> Path:
    """The TOML file that settings are read from, whether or not it exists."""
    return Path(os.environ.get("LORA_CONFIG", "lora-dataset-builder.toml"))


class Settings(BaseSettings):
    """What is in force for one run."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, populate_by_name=True)

    # Where things are kept
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("lora-dataset-builder", appauthor=False),
        validation_alias=AliasChoices("LORA_DATA_DIR", "data_dir"),
        description="Folder for the database, previews and the app's projects.",
    )
    log_paths: bool = Field(False, description="Let file names and folders appear in the log.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the data folder.")
    redis_url: str = Field(
        "", description="Redis or RabbitMQ that wakes workers: redis://, rediss://, amqp://, amqps://."
    )
    jobs_in: Literal["auto", "app", "workers"] = Field(
        "auto",
        description="Where the app's jobs run; auto: in workers if REDIS_URL is set, else in the app.",
    )
    job_lease_s: float = Field(
        30.0, ge=3, description="A worker that is silent for so long loses its job to another, seconds."
    )

    # Beyond one machine
    cluster: str = Field(
        "",
        description="Dask scheduler whose workers do the work, as tcp://127.0.0.1:8786; empty: this machine.",
    )
    cluster_unencrypted: bool = Field(
        False,
        description="Let a tcp:// cluster be on another machine: only on a network that is yours alone.",
    )
    previews: str = Field(
        "", description="Folder or store (s3://...) for previews that machines share; empty: data folder."
    )

    # Vision models
    modelscope_token: SecretStr = Field(SecretStr(""), description="Key for BASE_URL.")
    base_url: str = Field("", description="OpenAI-compatible endpoint; empty: nothing leaves here.")
    endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="More endpoints: presets by name, or NAME=URL; see `endpoints`. Keys: NAME_API_KEY."
    )
    endpoint_keys: dict[str, SecretStr] = Field(
        default_factory=dict, repr=False, description="Keys of endpoints by name, for this session alone."
    )
    private_endpoints: Literal["allow", "refuse"] = Field(
        default_factory=lambda: "refuse" if os.environ.get("SPACE_ID") else "allow",
        description="refuse: endpoints on this machine or network may not be called (shared apps).",
    )
    tag_model: str = Field(
        "", description="Vision models for captions, by priority: MODEL or MODEL@ENDPOINT."
    )
    focus_model: str = Field("", description="Vision models for the focus; empty: local focus.")
    fallback_model: str = Field("", description="Last vision model to try.")
    model_limits: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Limits by model: `MODEL rpm=30 rpd=500 parallel=4 in=0.2 out=0.6` ($ per 1M tokens)."
    )
    caption_parallel: int = Field(
        0, ge=0, le=64, description="Requests at once an endpoint; 0: its preset's."
    )
    caption_tries: int = Field(5, ge=1, le=20, description="Tries a model before the next one is asked.")
    caption_timeout_s: float = Field(120.0, gt=0, le=3600, description="Most time for one answer, seconds.")
    caption_patience_s: float = Field(
        180.0, ge=0, description="Wait this long for a model that asks us to, seconds, then fail the photo."
    )
    caption_minutes: float = Field(0.0, ge=0, description="Time limit of the caption stage; 0: none.")
    caption_max_side: int = Field(
        1024, ge=256, le=4096, description="Longest side of pictures sent to vision models, pixels."
    )
    caption_max_tokens: int = Field(700, ge=64, le=16_000, description="Longest answer, tokens.")
    caption_temperature: float = Field(0.2, ge=0, le=2, description="0: always the likeliest words.")
    failed_captions: Literal["block", "compose", "leave_out"] = Field(
        "block",
        description="A photo no model could caption: block packaging, caption it locally, or leave it out.",
    )
    caption_contradictions: Literal["list", "ask_again"] = Field(
        "list",
        description="A caption that contradicts what was measured: list it for review, or also ask the model"
        " once more, telling it what was measured.",
    )
    one_request: bool = Field(False, description="Ask for focus and caption in one request.")

    # Shared use
    login: SecretStr = Field(
        SecretStr(""), description="NAME:PASSWORD of those who may come in, commas between; empty: everybody."
    )
    login_file: Path | None = Field(
        None, description="File with more such lines, passwords hashed; see the command `login`."
    )
    behind_proxy: bool = Field(
        False, description="A proxy on this machine serves the app to others: nobody counts as local."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default_factory=lambda: PRIVATE_NETWORKS if os.environ.get("SPACE_ID") else (),
        description="Proxies whose X-Forwarded-For is believed: addresses or networks, commas.",
    )
    share: bool = Field(False, description="Open a public address through Gradio's servers (a stranger's).")
    visitor_upload_mb: int = Field(
        default_factory=lambda: 4096 if os.environ.get("SPACE_ID") else 0,
        ge=0,
        description="Most MiB that one visitor may upload in an hour; 0: no limit.",
    )
    visitor_megapixels: int = Field(
        default_factory=lambda: 100_000 if os.environ.get("SPACE_ID") else 0,
        ge=0,
        description="Most megapixels of photos measured for one visitor in an hour; 0: no limit.",
    )
    visitor_jobs: int = Field(
        default_factory=lambda: 3 if os.environ.get("SPACE_ID") else 0,
        ge=0,
        description="Most jobs of one visitor that wait or run; 0: no limit.",
    )
    address_visitors: int = Field(
        3, ge=0, description="From one address so much is allowed as to so many visitors; 0: no limit."
    )
    all_visitors: int = Field(
        12, ge=0, description="To all together so much is allowed as to so many visitors; 0: no limit."
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Who sends it as Bearer may read /metrics and /log; empty: this machine."
    )

    # Limits
    max_upload_mb: int = Field(2048, ge=1, description="Largest upload and largest file, MiB.")
    max_image_pixels: int = Field(
        250_000_000, ge=1_000_000, description="Photos with more pixels are refused as unreadable."
    )
    max_archive_files: int = Field(20_000, ge=1, description="Most files in one ZIP.")
    max_archive_mb: int = Field(65_536, ge=1, description="Most MiB that one ZIP may expand to.")
    photo_timeout_s: float = Field(
        20.0, gt=0, description="A photo that takes longer is given up as unreadable, seconds."
    )
    workers: int = Field(
        0, ge=0, le=64, description="Worker processes; 0: one per core, as far as the free memory goes."
    )
    photo_memory_mb: int = Field(
        3072, ge=256, description="Memory that one photo may take beyond the models, MiB; see memory.py."
    )
    reserve_disk_mb: int = Field(
        512, ge=0, description="A run stops, keeping what is done, before a disk has less free, MiB."
    )

    # The app
    retention_hours: int = Field(
        0, ge=0, description="The app deletes projects this many hours after their last use; 0: never."
    )

    removed: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Input files that are left alone as if they were not there, by name; commas or JSON."
    )

    # Measuring
    analysis_max_side: int = Field(1280, ge=320, le=4096, description="Photos are measured at this size.")
    preview_max_side: int = Field(1200, ge=64, le=4096, description="Longest side of previews, pixels.")
    preview_jpeg_quality: int = Field(86, ge=1, le=100, description="JPEG quality of previews.")
    face_model: str = Field("yunet-sface", description="Face model by name, see `models`.")
    body_model: str = Field("mediapipe", description="Body model by name, see `models`.")
    insightface_root: Path = Field(
        Path("~/.insightface"), description="Folder that holds InsightFace packs in models/NAME."
    )
    allow_download: bool = Field(
        False, description="Let InsightFace download a pack that is not on disk (non-commercial)."
    )
    background: str = Field(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="Colour under transparent pixels."
    )

    # Duplicates
    phash_threshold: int = Field(
        6,
        ge=0,
        le=12,
        description="Perceptual hashes at most this many of 64 bits apart are compared by pixels.",
    )
    near_ssim_th: float = Field(
        0.80, ge=0, le=1, description="Structural similarity of whole photos from which they are one picture."
    )
    face_sim_th1: float = Field(
        0.75, ge=0, le=1, description="Face similarity that asks for a second proof (face_ssim_th2)."
    )
    face_sim_th2: float = Field(
        0.85, ge=0, le=1, description="Strong face similarity: face_ssim_th1 is proof enough."
    )
    pose_sim_th: float = Field(0.70, ge=0, le=1, description="Pose similarity of two takes of one shot.")
    face_ssim_th1: float = Field(0.80, ge=0, le=1, description="Structural similarity of the two faces.")
    face_ssim_th2: float = Field(0.90, ge=0, le=1, description="The same, where the face similarity is weak.")
    bbox_tol_c: float = Field(
        0.10, ge=0, le=1, description="Face centres at most this share of the picture apart."
    )
    bbox_tol_wh: float = Field(
        0.10, ge=0, le=1, description="Face sizes at most this share of the picture apart."
    )
    keep_per_cluster: int = Field(
        2, ge=1, le=50, description="Kept of one shot taken again; copies and bursts leave one."
    )
    duplicates: tuple[Literal["copy", "turned", "crop", "burst", "take"], ...] = Field(
        ("copy", "turned", "crop", "burst", "take"),
        description="Kinds of repetition that are dropped; see redundancy.py.",
    )
    crop_sim_th: float = Field(
        0.90, ge=0, le=1, description="Face similarity of a photo and what was cut out of it."
    )
    crop_ssim_th: float = Field(0.65, ge=0, le=1, description="Structural similarity of those two faces.")
    burst_sim_th: float = Field(
        0.89, ge=0, le=1, description="Face similarity of one moment, where faces are large enough to tell."
    )
    burst_ssim_th: float = Field(
        0.60, ge=0, le=1, description="Structural similarity of two frames of a burst, after a shift."
    )

    # The person
    subject_sim_th: float = Field(
        0.55, ge=0, le=1, description="Similarity to a person's mean face from which a face is theirs."
    )
    references: tuple[Path, ...] = Field((), max_length=5, description="Up to five photos of the subject.")
    not_references: tuple[Path, ...] = Field(
        (), max_length=5, description="Up to five photos of people who are not: a twin, a sibling."
    )
    about: Literal["person", "anything"] = Field(
        "person", description="anything: nobody is looked for, so only quality and repetition drop photos."
    )
    undecided: Literal["keep", "drop"] = Field(
        "drop", description="Photos with a face that may be the subject's and may not."
    )
    turned_faces: Literal["keep", "drop"] = Field(
        "drop", description="Undecided photos whose only face is turned too far to be recognised."
    )
    back_views: Literal["keep", "drop"] = Field(
        "drop", description="Photos with a body and no face: nobody can tell whose."
    )

    several_people: Literal["keep", "drop"] = Field(
        "drop", description="Photos whose crop cannot leave other people's faces out."
    )

    # Quality
    min_face_sharpness: float = Field(
        0.07, ge=0, description="Blurry below (pixels.sharpness of the face at 128 pixels)."
    )
    soft_face_sharpness: float = Field(0.12, ge=0, description="Called soft below, and kept.")
    dim_brightness: float = Field(0.15, ge=0, le=1, description="Called dim below, and kept.")
    min_brightness: float = Field(0.06, ge=0, le=1, description="Mean luma of the face: dark below.")
    max_brightness: float = Field(0.94, ge=0, le=1, description="Mean luma of the face: blown above.")
    target_count: int = Field(
        0, ge=0, description="Keep at most this many, the set that covers most; 0: all good ones."
    )
    quotas: tuple[str, ...] = Field(
        (), description="Most of each framing in percent of the target: face=40, bust=30, body=25, back=5."
    )

    # Crops
    resolution: int = Field(1024, ge=256, le=4096, description="Side of the square crop, pixels.")
    buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Sizes WIDTHxHEIGHT instead of the square, commas; auto: the base models' own."
    )
    max_upscale: float = Field(1.0, ge=1.0, le=4.0, description="Most enlargement of a crop; 1: never.")
    small_photos: Literal["drop", "keep"] = Field(
        "drop", description="keep: a photo too small for the crop gives a smaller one."
    )
    min_side: int = Field(
        512, ge=64, le=4096, description="With small_photos=keep: crops get no smaller to leave people out."
    )
    image_format: Literal["png", "jpeg"] = Field("png", description="Format of training images.")
    jpeg_quality: int = Field(95, ge=1, le=100, description="Quality of JPEG training images.")

    extra_crops: Annotated[tuple[Literal["face", "bust", "full"], ...], NoDecode] = Field(
        (), description="Further training images of the same photo: face, bust, full; commas."
    )
    recipe: str = Field(
        "", max_length=200, description="Light edits, as auto_levels,sharpen=0.4, or a saved recipe's name."
    )
    mask: Literal["none", "subject", "head", "face"] = Field(
        "none", description="Training masks: what of the picture counts."
    )
    mask_feather: int = Field(16, ge=0, le=256, description="Softness of the masks' edge, pixels.")

    # Captions
    trigger: str = Field("", max_length=64, description="Word that calls the person, as in `ohwx`.")
    class_word: str = Field("person", max_length=64, description="What they are: woman, man, person.")
    caption_style: Literal["prose", "tags"] = Field("prose", description="A sentence, or tags.")
    caption_language: Literal["en", "zh", "both"] = Field("en", description="Language of the captions.")
    caption_policy: Literal[
        "auto", "sdxl_tags", "sdxl_prose", "flux", "flux2", "qwen_image", "z_image", "custom"
    ] = Field("auto", description="What captions look like; auto: by base model and caption_style.")
    caption_words: str = Field(
        "", pattern=r"^(\d{1,3}-\d{1,3})?$", description="Words a caption, as in 20-60; empty: the policy's."
    )
    describe: Annotated[tuple[Literal["hair", "makeup", "beard", "glasses"], ...], NoDecode] = Field(
        (), description="Mention these although they belong to the person: hair, makeup, beard, glasses."
    )
    caption_template: str = Field("standard", max_length=100, description="Prompt template by name.")

    # Package
    base_model: Literal["sdxl", "flux", "flux2", "qwen-image", "z-image", "krea2"] = Field(
        "sdxl", description="Base model that the trainers' configs are for."
    )
    layouts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Trainers' layouts to write beside dataset/, commas; see `layouts`."
    )
    export_as: Literal["folder", "zip", "both"] = Field(
        "both", description="Each layout as exports/LAYOUT/, as exports/LAYOUT.zip, or both."
    )
    regularisation: Path | None = Field(
        None, description="Folder of class pictures for the trainers that take some."
    )
    report_pictures: bool = Field(True, description="Small pictures in report.html; off: text alone.")
    licence: str = Field("", max_length=64, description="Licence of the dataset, as the Hub names it.")
    consent: str = Field(
        "", max_length=2000, description="Who agreed to the publication, and how; needed for a public push."
    )

    @field_validator(
        *("buckets", "layouts", "extra_crops", "endpoints", "model_limits", "describe", "removed"),
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.startswith("["):
            return json.loads(value)
        return tuple(filter(None, (part.strip() for part in value.split(","))))

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text, strict=False)  # its ValueError names the fault
        return value

    @field_validator("buckets")
    @classmethod
    def _sizes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in () if value == ("auto",) else value:
            width, _, height = text.partition("x")
            sides = [int(s) if s.isdecimal() else 0 for s in (width, height)]
            if any(side < 256 or side > 4096 or side % BUCKET_STEP for side in sides):
                raise ValueError(f"{text!r} is not WIDTHxHEIGHT in multiples of {BUCKET_STEP}, 256 to 4096")
        return value

    @field_validator("quotas")
    @classmethod
    def _shares(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            name, _, percent = text.partition("=")
            if name.strip() not in ("face", "bust", "body", "back") or not percent.strip().isdecimal():
                raise ValueError(f"{text!r} is not face, bust, body or back, =, and a whole percentage")
        return value

    @field_validator("trigger", "class_word")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of printable text")
        return value.strip()

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The (width, height) that training images may have, pixels."""
        if not self.buckets:
            return ((self.resolution, self.resolution),)
        if self.buckets == ("auto",):
            return PORTRAIT_SIZES
        pairs = (text.split("x") for text in self.buckets)
        return tuple((int(width), int(height)) for width, height in pairs)

    @property
    def without_secrets(self) -> Settings:
        """The same without keys and passwords: for processes that decode what strangers made."""
        emptied: dict[str, Any] = {"endpoint_keys": {}, "database_url": "", "redis_url": ""}
        for name in type(self).model_fields:
            if isinstance(getattr(self, name), SecretStr):
                emptied[name] = SecretStr("")
        return self.model_copy(update=emptied)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'lora.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, dotenv_settings, toml


def load(**arguments: Any) -> Settings:
    """The settings in force; arguments that are None count as not given.

    Raises BadSettings that names the setting, its value's fault, and where the ranges are listed.
    """
    try:
        return Settings(**{name: value for name, value in arguments.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadSettings(f"Settings are not valid: {faults}.", "`config` lists every setting.") from error


def origins(arguments: dict[str, Any]) -> dict[str, str]:
    """Where each setting's value comes from: argument, environment, .env, the TOML file, default."""
    names = {
        name: (name.upper() if name != "data_dir" else "LORA_DATA_DIR") for name in Settings.model_fields
    }
    dotenv = {key.upper() for key in dotenv_values(".env")}
    toml = set(TomlConfigSettingsSource(Settings, toml_file=config_file()).toml_data)
    environment = {key.upper() for key in os.environ}

    def origin(name: str, variable: str) -> str:
        if arguments.get(name) is not None:
            return "argument"
        if variable in environment:
            return "environment"
        if variable in dotenv:
            return ".env"
        return str(config_file()) if name in toml or variable in toml else "default"

    return {name: origin(name, variable) for name, variable in names.items()}
