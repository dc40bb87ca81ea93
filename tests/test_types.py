"""Every public function of the package says the types of its arguments and of its value."""

import ast

import pytest
from documentation import ROOT

pytestmark = pytest.mark.once

MODULES = sorted([*ROOT.glob("keras_actfn/**/*.py"), *ROOT.glob("applications/*.py")])


def _is_public(name, in_class):
    special = in_class and name.startswith("__") and name.endswith("__")
    return special or not name.startswith("_")


def public_functions(body, in_class=""):
    """Yield (name, definition, whether its first argument is bound) of public functions."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{in_class}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_public(node.name, bool(in_class)):
                static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
                yield in_class + node.name, node, bool(in_class) and not static
        elif isinstance(node, ast.If | ast.Try):
            yield from public_functions([*node.body, *node.orelse], in_class)


def untyped(source):
    """The names of a module's public functions with the arguments that have no type."""
    found = []
    for name, function, bound in public_functions(ast.parse(source).body):
        given = function.args
        arguments = [*given.posonlyargs, *given.args][bound:] + given.kwonlyargs
        arguments += [argument for argument in (given.vararg, given.kwarg) if argument]
        missing = [argument.arg for argument in arguments if argument.annotation is None]
        if function.returns is None and function.name != "__init__":
            missing.append("return")
        if missing:
            found.append(f"{name}: {', '.join(missing)}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_typed(path):
    assert untyped(path.read_text()) == []


def test_missing_types_are_seen():
    source = """
def f(x, *rest: int, y: int = 1, **options): return x
def g(x: int) -> int: return x
def _h(x): return x
class A:
    def __init__(self, a): self.a = a
    def __call__(self) -> int: return 1
    @staticmethod
    def make(a) -> int: return a
    def get(self, b: int): return b
    def _own(self, b): return b
class _B:
    def get(self, b): return b
if True:
    def k(z) -> int: return z
"""
    assert untyped(source) == [
        "f: x, options, return",
        "A.__init__: a",
        "A.make: a",
        "A.get: return",
        "k: z",
    ]
