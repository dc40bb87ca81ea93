"""The direction of imports, and what `import keras_actfn` brings with it."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ANY_BACKEND

import keras_actfn

pytestmark = pytest.mark.once

# Data flows down this list: a package imports from those above it, and from itself.
ORDER = (
    (
        *("_version", "_optional", "_drafts", "_names", "_secrets", "_keras_import"),
        "_keras_activations",
    ),
    ("_files",),
    ("_progress", "_texts"),
    ("backend",),
    ("densities",),
    ("expressions", "constraints", "datasets"),
    ("layers", "theory"),
    ("_activation",),
    ("models", "applications"),
    ("initialization", "fisher", "surgery"),
    ("training", "callbacks", "finetuning"),
    ("search",),
    ("plotting",),
    ("cli", "testing"),
    ("__main__",),
)
RANK = {name: rank for rank, group in enumerate(ORDER) for name in group}
ROOT = Path(keras_actfn.__file__).parent


def imports_of(path):
    """(line, package of keras_actfn, whether inside `plot` or `report`) for each import."""
    tree = ast.parse(path.read_text())
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts if path.stem == "__init__" else parts[:-1]
    package = tuple(part for part in package if part != "__init__")
    plot_lines = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in ("plot", "report")
        for line in range(node.lineno, node.end_lineno + 1)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = (*base, *(node.module or "").split("."))
            targets = [module] if node.module else [(*base, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = (
                [tuple(node.module.split("."))[1:]] if node.module.startswith("keras_actfn") else []
            )
        elif isinstance(node, ast.Import):
            targets = [
                tuple(a.name.split("."))[1:] for a in node.names if a.name.startswith("keras_actfn")
            ]
        else:
            continue
        for target in targets:
            head = next((part for part in target if part), None)
            if head in RANK:
                yield node.lineno, head, node.lineno in plot_lines


def modules():
    """Every module of the package but the top-level __init__, which only exports."""
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def test_every_package_has_its_place():
    found = {path.relative_to(ROOT).with_suffix("").parts[0] for path in modules()}
    assert found <= set(RANK), f"Add to ORDER: {found - set(RANK)}"


def test_imports_flow_one_way():
    wrong = []
    for path in modules():
        own = path.relative_to(ROOT).with_suffix("").parts[0]
        for line, target, in_plot in imports_of(path):
            allowed = (
                target == own or RANK[target] < RANK[own] or (in_plot and target == "plotting")
            )
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {own} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_one_module_knows_keras_from_inside():
    """What Keras does not export changes with its version, and is looked for in one place."""
    inside = [path for path in modules() if "keras.src" in path.read_text("utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in inside] == ["models/_keras.py"]


def statements(body):
    """The statements that run when a module is imported."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from statements(node.body)
            for handler in getattr(node, "handlers", ()):
                yield from statements(handler.body)
            yield from statements(getattr(node, "orelse", ()))


def test_no_module_needs_itself():
    """What modules import when they are imported makes no circle, within packages too."""
    names = {path: path.relative_to(ROOT).with_suffix("").parts for path in modules()}
    names = {p: n[:-1] if n[-1] == "__init__" else n for p, n in names.items()}
    known = set(names.values())
    needed = {}
    for path, name in names.items():
        package = name if path.stem == "__init__" else name[:-1]
        needed[name] = set()
        for node in statements(ast.parse(path.read_text()).body):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            module = (
                *package[: len(package) - node.level + 1],
                *(node.module.split(".") if node.module else ()),
            )
            for alias in node.names:
                found = (*module, alias.name) if (*module, alias.name) in known else module
                needed[name] |= {found} & known - {name}
    assert sum(map(len, needed.values())) > 300  # the walk sees the imports
    list(graphlib.TopologicalSorter(needed).static_order())  # raises CycleError


def test_import_needs_keras_and_numpy_only():
    code = (
        "import sys, keras; before = set(sys.modules); import keras_actfn; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names - {'keras', 'numpy', 'keras_actfn'}))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ANY_BACKEND
    )
    assert output.stdout.strip().endswith("[]"), output.stdout
