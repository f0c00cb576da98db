"""The daemon's verbs on the command line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

CONFIG, UNAVAILABLE, IO = 78, 69, 74

serve_app = typer.Typer()
ConfigPath = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; else defaults and environment.")]


@serve_app.command()
def serve(config: ConfigPath = None) -> None:
    """Take frames in, analyse them and publish maps, until SIGTERM or Ctrl-C."""
    from livestrain_daemon.config import load_config
    from livestrain_daemon.daemon import Daemon
    from livestrain_daemon.errors import ConfigError, DaemonError, StorageError
    from livestrain_daemon.logs import configure_logs

    try:
        loaded = load_config(config)
        configure_logs(loaded.log)
        Daemon(loaded).run()
    except DaemonError as error:
        typer.echo(f"livestrain serve: {error}", err=True)
        code = CONFIG if isinstance(error, ConfigError) else IO if isinstance(error, StorageError) else UNAVAILABLE
        sys.exit(code)
