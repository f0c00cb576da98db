"""Classes of a module as its source describes them: docstrings, fields, and the strings under the fields."""

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Field:
    """A field as it is written down."""

    name: str
    type: str
    default: str
    """Empty where the field must be given."""
    text: str


@dataclass(frozen=True)
class Described:
    """A class and its own fields."""

    name: str
    bases: tuple[str, ...]
    text: str
    fields: tuple[Field, ...]


def classes_of(module: ModuleType) -> list[Described]:
    """The classes of a module, in order."""
    source = inspect.getsource(module)
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            bases = tuple(ast.unparse(base) for base in node.bases)
            text = inspect.cleandoc(ast.get_docstring(node) or "")
            found.append(Described(node.name, bases, text, tuple(_fields(node))))
    return found


def inherited_fields(described: Described, known: Mapping[str, Described]) -> list[Field]:
    """Fields of the classes above that are known, outermost first."""
    fields: list[Field] = []
    for above in described.bases:
        if above in known:
            fields += [*inherited_fields(known[above], known), *known[above].fields]
    return fields


def aliases_of(module: ModuleType) -> dict[str, str]:
    """What short names for types stand for."""
    found = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = ast.unparse(node.value)
            if text.startswith(("Annotated[", "Literal[", "tuple[")):
                found[node.targets[0].id] = text
    return found


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def code(text: str) -> str:
    """Inline code, nothing where there is nothing."""
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """A docstring as Markdown."""
    return text.replace("``", "`")


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            text = " ".join(inspect.cleandoc(after.value.value).split())
        default = "" if statement.value is None else ast.unparse(statement.value)
        default = "{}" if default == "Field(default_factory=dict)" else default
        yield Field(statement.target.id, ast.unparse(statement.annotation), default, prose(text))
