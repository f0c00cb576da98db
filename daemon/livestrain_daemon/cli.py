"""The daemon's verbs on the command line; what is heavy is imported when a verb runs."""

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer

CONFIG, UNAVAILABLE, IO, INTERRUPTED = 78, 69, 74, 130
MARKS = {"good": "ok", "warning": "look", "bad": "BAD"}

serve_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
config_app = typer.Typer(
    help="Show or check the configuration.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
doctor_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

ConfigPath = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; else defaults and environment.")]
ConfigFile = Annotated[Path | None, typer.Argument(help="TOML file; else defaults and environment.")]


@contextmanager
def _exit_codes(verb: str) -> Iterator[None]:
    from livestrain_daemon.errors import ConfigError, DaemonError, StorageError

    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"livestrain {verb}: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except DaemonError as error:
        typer.echo(f"livestrain {verb}: {error}", err=True)
        sys.exit(CONFIG if isinstance(error, ConfigError) else IO if isinstance(error, StorageError) else UNAVAILABLE)


@contextmanager
def _naming(config: Path | None) -> Iterator[None]:
    """Say which file has the key that an error is about."""
    from livestrain_daemon.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config or 'the environment'}: {error}") from error


@serve_app.command()
def serve(config: ConfigPath = None) -> None:
    """Take frames in, analyse them and publish maps, until SIGTERM or Ctrl-C."""
    with _exit_codes("serve"):
        from livestrain_daemon.config import load_config

        loaded = load_config(config)
        # what is loaded is no garbage: looking for it there is a quarter of the work of a start
        gc.disable()
        from livestrain_daemon.daemon import Daemon
        from livestrain_daemon.logs import configure_logs
        from livestrain_daemon.processes import keep_what_is_loaded

        keep_what_is_loaded()
        configure_logs(loaded.log)
        with _naming(config):
            Daemon(loaded).run()


@config_app.command("show")
def config_show(
    config: ConfigFile = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Print the configuration as it holds: file, environment and defaults together."""
    with _exit_codes("config"):
        from livestrain_daemon.config import config_toml, load_config

        loaded = load_config(config)
        typer.echo(loaded.model_dump_json(indent=2) if as_json else config_toml(loaded))


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Say whether the configuration can be used; exit code 78 if not."""
    with _exit_codes("config"):
        from livestrain_daemon.config import load_config

        loaded = load_config(config)
        from livestrain_daemon.given import read_given
        from livestrain_daemon.intake.detectors.positions import read_positions

        with _naming(config):
            read_given(loaded.analysis)
            read_positions(loaded.intake.scan)
        typer.echo("the configuration can be used")


@doctor_app.command()
def doctor(
    config: ConfigPath = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    write: Annotated[bool, typer.Option(help="Measure the disk by writing 256 MiB to the spool.")] = True,
    compile_for: Annotated[
        str, typer.Option("--compile", help="Compile the kernels for these frame types now, such as uint8,uint16.")
    ] = "",
) -> None:
    """Is this machine fit for the work? Checks packages, memory, disk and ports; exit code 69 or 74 if not."""
    from livestrain_daemon.config import load_config
    from livestrain_daemon.doctor import Finding, compile_kernels, configuration, examine
    from livestrain_wire.messages import FrameDtype

    dtypes = tuple(compile_for.split(",")) if compile_for else ()
    for dtype in dtypes:
        if dtype not in get_args(FrameDtype):
            expected = ", ".join(get_args(FrameDtype))
            raise typer.BadParameter(f"expected some of {expected}, found {dtype!r}", param_hint="--compile")
    code = 0

    def tell(finding: Finding) -> None:
        nonlocal code
        if finding.verdict == "bad":
            code = code or finding.exit_code
        facts = {"what": finding.what, "verdict": finding.verdict, "text": finding.text}
        typer.echo(json.dumps(facts) if as_json else f"{MARKS[finding.verdict]:5} {finding.what:25} {finding.text}")

    loaded, finding = configuration(lambda: load_config(config))
    tell(finding)
    if loaded is not None:
        for finding in examine(loaded, write):
            tell(finding)
    if dtypes:
        seconds = compile_kernels(dtypes)
        tell(Finding("kernels", "good", f"compiled for {compile_for} in {seconds:.1f} s"))
    raise typer.Exit(code)
