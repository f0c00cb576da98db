"""The pages docs/reference/config.md and plan.md, from the declarations of the configuration and the plan."""

import json

from docs.source import Described, aliases_of, classes_of, code, inherited_fields, prose, table
from livestrain_daemon import config, detecting, geometry, intake_config, learned, plan, section, template
from livestrain_daemon.config import Config
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_daemon.section import Section
from livestrain_wire.messages import given

CONFIG_INTRODUCTION = """\
# Configuration

Generated from `livestrain_daemon.config`, `intake_config` and `section`; do not edit (see CONTRIBUTING.md).

`livestrain serve --config FILE` reads a TOML file. Each section below is a table of it. Every key can also be set in
the environment as `LIVESTRAIN_SECTION__KEY`, which wins over the file; a list is written there as JSON. Without a file
and without an environment the defaults hold. An unknown key or a wrong value ends the start with exit code 78 and a
line that names the key and the file. `livestrain config check FILE` says the same without starting;
`livestrain config show FILE` prints what holds. The configuration is read once; a change needs a restart.

```toml
[spool]
folder = "/data/scans"

[workers]
count = 4

[analysis]
vacuum_probe = "/data/vacuum-probe.npy"
detectors = [
    { name = "bright_field", outer = 1.0 },
    { name = "ring", inner = 40.0, outer = 60.0, unit = "px" },
]
```

The fields of a virtual detector are those of [`DetectorPlan`](plan.md#detectorplan), those of `detect` those of
[`DetectPlan`](plan.md#detectplan), those of `probe` those of [`ProbeValues`](plan.md#probevalues).
"""

PLAN_INTRODUCTION = """\
# The plan

Generated from `livestrain_daemon.plan`, `detecting`, `learned`, `template` and `geometry`; do not edit (see
CONTRIBUTING.md).

A plan says how frames become results. Each change makes a new revision with a results file of its own. The plan is in
the journal (lines of kind `plan`), in the attribute `plan` of each results file, and in the reply to `status`.
[Change plan and reference](../how-to/change-plan-and-reference.md) tells how to change it.
"""


def config_page() -> str:
    """The configuration's page, as Markdown."""
    modules = (section, intake_config, config)
    described = {one.name: one for one in (*classes_of(given), *(c for module in modules for c in classes_of(module)))}
    aliases = {name: text for module in modules for name, text in aliases_of(module).items()}
    lines = [CONFIG_INTRODUCTION, "## Types", "", *_aliases(aliases)]
    for name, field in Config.model_fields.items():
        if not isinstance(field.default, Section):
            continue
        about = described[type(field.default).__name__]
        lines += ["", f"## {name}", "", prose(about.text), ""]
        values = field.default.model_dump(mode="json")
        rows = [
            (
                code(key.name),
                code(f"LIVESTRAIN_{name.upper()}__{key.name.upper()}"),
                code(key.type),
                "" if values[key.name] is None else code(json.dumps(values[key.name])),
                key.text,
            )
            for key in (*inherited_fields(about, described), *about.fields)
        ]
        lines += table(("key", "environment", "type", "default", "meaning"), rows)
    for inner in classes_of(intake_config):
        if inner.name != IntakeConfig.__name__:
            lines += ["", *_part(inner)]
    return "\n".join(lines) + "\n"


def plan_page() -> str:
    """The plan's page, as Markdown."""
    modules = (plan, detecting, learned, template, geometry)
    aliases = {name: text for module in modules for name, text in aliases_of(module).items()}
    lines = [PLAN_INTRODUCTION, "## Types", "", *_aliases(aliases)]
    for about in (*classes_of(plan)[::-1], *(one for module in modules[1:] for one in classes_of(module))):
        if about.fields:
            lines += ["", *_part(about)]
    return "\n".join(lines) + "\n"


def _part(about: Described) -> list[str]:
    rows = [(code(f.name), code(f.type), code(f.default) or "required", f.text) for f in about.fields]
    return [f"## {about.name}", "", prose(about.text), "", *table(("field", "type", "default", "meaning"), rows)]


def _aliases(found: dict[str, str]) -> list[str]:
    return table(("name", "stands for"), [(code(name), code(text)) for name, text in found.items()])
