"""The verbs of the command: found through entry points, so that each package brings its own."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

GROUP = "livestrain.verbs"

HELP = {
    "serve": "Run the daemon: receive frames, analyse them, publish maps.",
    "demo": "Stream a simulated strained specimen through a daemon, and watch.",
    "watch": "Show a scan while it is measured, save its maps, or wait for a condition.",
    "status": "Tell what the daemon is doing.",
    "scans": "List the scans of the spool; retain or delete some.",
    "arm": "Accept scans again; begin a series of a detector that the daemon may arm.",
    "disarm": "Ignore scans until further notice.",
    "stop": "End the scan in progress, or the daemon.",
    "calibrate": "Find the centre, disk radius and lattice again.",
    "reference": "Choose what strain is measured against.",
    "export": "Write results for py4DSTEM, HyperSpy, ImageJ, as pictures or a table.",
    "simulate": "Make a scan of a specimen with known strain.",
    "replay": "Stream a recorded scan as a detector would.",
    "config": "Show or check the configuration.",
    "doctor": "Check this machine: disk, memory, ports, libraries.",
    "bench": "Measure rates and latency on this machine.",
}
"""One line per verb, so that help needs no verb loaded."""

EXTRAS = {
    "livestrain_client.rig": "demo",
    "livestrain_bench": "daemon",
    "livestrain_core": "daemon",
    "livestrain_daemon": "daemon",
    "livestrain_simulator": "simulator",
    "livestrain_models": "models",
    "livestrain_dashboard": "dashboard",
}
"""The extra that each package needs."""


def installed_verbs() -> dict[str, EntryPoint]:
    """The verbs of all installed packages, in the order of help, others after them by name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        # As with imports, the first on the path wins.
        found.setdefault(point.name, point)
    order = {name: index for index, name in enumerate(HELP)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def one_line(point: EntryPoint) -> str:
    """What a verb does; other people's packages say it in the help of their app."""
    if point.name in HELP:
        return HELP[point.name]
    try:
        app = point.load()
    except ImportError as error:
        return f"(cannot be loaded: {error})"
    lines = (getattr(app.info, "help", None) or "").strip().splitlines() if hasattr(app, "info") else []
    return str(lines[0]) if lines else f"(from {point.value.partition(':')[0]})"


def missing_hint(point: EntryPoint, error: ModuleNotFoundError) -> str:
    """One clear line for a verb whose libraries are not installed."""
    extra = extra_of(point)
    if extra is None:
        return f"livestrain {point.name} cannot be loaded: {error}"
    return f"livestrain {point.name} {needs_extra(extra)} ({error})"


def needs_extra(extra: str) -> str:
    """How to install an extra, from an index and from a clone."""
    return f"needs the extra '{extra}': pip install 'livestrain[{extra}]', or in a clone pip install -e '.[{extra}]'"


def extra_of(point: EntryPoint) -> str | None:
    """The extra that a verb needs, if it is one of ours."""
    declared: Sequence[str] = point.extras
    if declared:
        return declared[0]
    module = point.value.partition(":")[0] + "."
    return next((extra for package, extra in EXTRAS.items() if module.startswith(package + ".")), None)
