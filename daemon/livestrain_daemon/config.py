"""The daemon's configuration: read once, frozen, unknown keys refused by name."""

import json
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from livestrain_core.types import Estimator, Template
from livestrain_daemon.detecting import DetectPlan, DisksChoice
from livestrain_daemon.endpoints import same
from livestrain_daemon.errors import ConfigError
from livestrain_daemon.geometry import Axes
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_daemon.plan import DetectorPlan, Level
from livestrain_daemon.retention import Limits
from livestrain_daemon.section import Endpoint, Seconds, Section
from livestrain_daemon.template import ProbeValues
from livestrain_wire.messages.given import GivenValues, KnownValues

WORDS = {
    "extra_forbidden": "no such key",
    "missing": "must be given",
    "tuple_type": "expected an array",
    "model_type": "expected a table",
    "dict_type": "expected a table",
}
"""What TOML calls them, where the words of the library are others."""


def _no_switch(value: object) -> object:
    # true would be taken for 1
    if isinstance(value, bool):
        raise ValueError("expected a whole number")  # noqa: TRY004  pydantic takes no TypeError
    return value


Limit = Annotated[int, BeforeValidator(_no_switch), Field(ge=1, le=1 << 34)]


class SpoolConfig(Section):
    """Where scans live."""

    folder: Path = Path("livestrain-spool")
    record: bool = True
    """True: every scan's frames stay on disk. False: they go through a ring of fixed size."""
    ring_mib: Annotated[int, Field(ge=1, le=1 << 24)] = 1024
    """Size of the ring [MiB]."""
    when_full: Literal["drop_oldest", "wait"] = "drop_oldest"
    """What a full ring does to frames that are not analysed yet: overwrite the oldest, counted as dropped, or hold the
    sender back until they are analysed. A detector cannot wait; a replay can."""
    reserve_mib: Annotated[int, Field(ge=0, le=1 << 24)] = 512
    """Space that a new scan must leave free on the disk [MiB]."""
    keep_scans: Limit | None = None
    """So many ended scans stay, beside those that somebody has retained; else all do."""
    keep_mib: Limit | None = None
    """What all scan folders together may take on the disk [MiB]; else all that is there."""
    keep_free_mib: Limit | None = None
    """Space that old scans are removed for, to keep it free on the disk [MiB]; else none is."""
    sync_seconds: Seconds = 1.0
    """How often stored frames are forced to the disk."""

    @property
    def limits(self) -> Limits:
        """What the spool may hold; where there is any limit, old scans are also removed for one that would not fit."""
        size, free = self.keep_mib, self.keep_free_mib
        return Limits(self.keep_scans, None if size is None else size << 20, None if free is None else free << 20)


class WorkersConfig(Section):
    """The processes that analyse."""

    count: Annotated[int, Field(ge=1, le=256)] = 1
    spares: Annotated[int, Field(ge=0, le=8)] = 1
    """Warm processes that wait to replace a dead one at once."""
    timeout_seconds: Seconds = 10.0
    """A worker that has not finished a range by then is killed."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """So often, twice at least, a range is tried before it is split; after the first time in a worker of its own."""
    largest_range: Annotated[int, Field(ge=1, le=4096)] = 256
    """Positions in one task at most."""
    order: Literal["sequential", "newest"] = "newest"
    """What a lagging analysis does first: the oldest frame, or the newest and then the rest."""


class AnalysisConfig(Section):
    """What is computed; becomes part of each scan's plan."""

    vacuum_probe: Path | None = None
    """A .npy or HDF5 file with an image of the probe in vacuum, of the detector's shape, or a scan of such images,
    whose probes are laid on each other; else the probe is measured in the scan."""
    template: Template = "disk"
    """What disks are compared with: a flat `disk` with a soft edge, or the `image` of the vacuum probe, for apertures
    with a pattern."""
    probe: ProbeValues | None = None
    """Radius and edge of the disks where they are known: a table of radius_px and edge_px; else they are measured."""
    usable_pixels: Path | None = None
    """A .npy file, true where a pixel can be used; else all are. What the detector marks is never used."""
    dark: Path | None = None
    """A .npy or HDF5 file with an image of counts without a beam, subtracted from every frame; else nothing is."""
    gain: Path | None = None
    """A .npy or HDF5 file with an image of factors, multiplied to every frame after that; else nothing is."""
    saturation: Level | None = None
    """Stored counts from which on a pixel is saturated: it is left out of its frame, and counted; else what the
    detector says, and where it says nothing no pixel is."""
    plan: Path | None = None
    """A recorded plan to use as it is, without a calibration: gives the same bits again. A JSON file, or the folder of
    the scan that had it."""
    calibration_positions: Annotated[int, Field(ge=16, le=256)] = 64
    """Positions that a calibration looks at: the first ones, then as many spread over more and more of the scan."""
    detectors: tuple[DetectorPlan, ...] = (
        DetectorPlan(name="bright_field", outer=1.0),
        DetectorPlan(name="dark_field", inner=1.5, outer=6.0),
    )
    """Virtual detectors."""
    estimator: Estimator = "precise"
    """How disks are measured: `precise` twice, the second time from the lattice of the first; `fast` only where
    needed."""
    disks: DisksChoice = "auto"
    """Which disks are looked for: those of the lattice (`tracked`), all without a lattice (`detected`), `both`, or by
    itself: tracked where a lattice was found, detected where only the probe was."""
    detect: DetectPlan = DetectPlan()
    """Which disks are reported when they are detected: a table of score, relative_intensity, spacing_px, edge_px and
    count."""
    axes: Axes = "detector"
    """Along what strain is given first: the detector, the scan (its rotation must be known), or g1 of the reference."""

    @model_validator(mode="after")
    def _one_probe(self) -> "AnalysisConfig":
        if self.template == "image" and self.vacuum_probe is None:
            raise ValueError('template = "image" needs a vacuum_probe')
        if self.probe is not None and self.vacuum_probe is not None:
            raise ValueError("probe and vacuum_probe both say what the disks are like; give one of them")
        return self


class CalibrationConfig(Section, KnownValues):
    """What is known of the detector and the specimen, beside what is found in frames; nothing set: not known."""

    @model_validator(mode="after")
    def _one_source_each(self) -> "CalibrationConfig":
        self.values()
        return self

    def values(self) -> GivenValues:
        """The same as a request gives it."""
        return GivenValues(**self.model_dump())


class PublishConfig(Section):
    """How maps go out and requests come in."""

    maps_endpoint: Endpoint = "tcp://127.0.0.1:5551"
    control_endpoint: Endpoint = "tcp://127.0.0.1:5552"
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 9550
    """Metrics and health; 0 chooses a free one."""
    patch_seconds: Annotated[float, Field(ge=0.002, le=10)] = 0.04
    """New values are collected for so long before they are sent."""
    unencrypted_beyond_loopback: bool = False
    """Say true to publish to other hosts without encryption."""


class LogConfig(Section):
    """What goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(BaseSettings):
    """All of it: TOML file, then ``LIVESTRAIN_SECTION__KEY`` in the environment, which wins."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="LIVESTRAIN_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    intake: IntakeConfig = IntakeConfig()
    spool: SpoolConfig = SpoolConfig()
    workers: WorkersConfig = WorkersConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    publish: PublishConfig = PublishConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _known_axes(self) -> "Config":
        calibration = self.calibration
        if self.analysis.axes == "scan" and calibration.rotation_deg is None and calibration.flip is None:
            raise ValueError("analysis.axes: the scan's axes need calibration.rotation_deg or calibration.flip")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file; nothing is read from .env or secrets."""
        del dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_config(path: Path | None) -> Config:
    """
    The configuration.

    Parameters
    ----------
    path
        The TOML file; None uses the defaults and the environment.

    Raises
    ------
    ConfigError
        If a key is unknown or a value wrong: names the key, what was found, and the file.
    """
    where = str(path) if path else "the environment"
    try:
        table = tomllib.loads(path.read_text()) if path else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{where}: {error}") from error
    for key in table:
        if key not in Config.model_fields:
            raise ConfigError(f"{where}: {key}: no such section, expected {', '.join(Config.model_fields)}")
    try:
        config = Config(**table)
    except SettingsError as error:
        raise ConfigError(f"{where}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_of(error)}") from error
    _refuse_open_publishing(config.publish, where)
    _refuse_same_endpoints(config, where)
    return config


def _first_of(error: ValidationError) -> str:
    """What is wrong, in a line: a key that there is not before one that is missing for it."""
    found = error.errors(include_url=False, include_context=False)
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    text = WORDS.get(first["type"], first["msg"]).removeprefix("Value error, ")
    # a whole table says no more than its name
    return f"{key}: {text}" if isinstance(first["input"], dict) else f"{key}: {text}, found {first['input']!r:.80}"


def _refuse_same_endpoints(config: Config, where: str) -> None:
    publish = config.publish
    endpoints = {
        "intake.endpoint": config.intake.endpoint,
        "publish.maps_endpoint": publish.maps_endpoint,
        "publish.control_endpoint": publish.control_endpoint,
        "publish.http_port": f"tcp://{publish.http_host}:{publish.http_port}",
    }
    found = same(endpoints)
    if found is not None:
        values = " and ".join(dict.fromkeys(endpoints[key] for key in found))
        raise ConfigError(f"{where}: {' and '.join(found)} are the same: {values}; each needs a port of its own")


def _refuse_open_publishing(publish: PublishConfig, where: str) -> None:
    if publish.unencrypted_beyond_loopback:
        return
    for key in ("maps_endpoint", "control_endpoint"):
        endpoint: str = getattr(publish, key)
        if endpoint.startswith("tcp://") and not _is_loopback(endpoint.removeprefix("tcp://").rpartition(":")[0]):
            raise ConfigError(
                f"{where}: publish.{key}: {endpoint} can be reached from other hosts, unencrypted; "
                "to want that, set publish.unencrypted_beyond_loopback = true"
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def config_toml(config: Config) -> str:
    """The configuration as it holds, as the TOML that would give it again."""
    lines: list[str] = []
    for section, table in config.model_dump(mode="json", exclude_none=True).items():
        lines += [f"[{section}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
