"""The command ``livestrain``; its verbs come from the packages that are installed, and are loaded when called."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the verb named on the command line, and exit with its code."""
    try:
        # Ctrl-C may come while this is imported, too
        from livestrain_client.cli.command import run  # noqa: PLC0415

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("livestrain: interrupted\n")
        code = INTERRUPTED
    sys.exit(code)
