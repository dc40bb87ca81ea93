"""Every backend's module defines the protocol's names, no more and no fewer."""

import ast
import inspect

import pytest

from keras_actfn.backend import BACKENDS, protocol

FOLDER = inspect.getfile(protocol).rpartition("protocol.py")[0]


def names_of_protocol():
    members = {name for name in vars(protocol.Backend) if not name.startswith("_")}
    return members | set(inspect.get_annotations(protocol.Backend))


def definitions(backend):
    """What a backend's module defines by itself, by name: read, for only one can be imported."""
    with open(f"{FOLDER}{backend}.py", encoding="utf8") as file:
        body = ast.parse(file.read()).body
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return {name: node for name, node in found.items() if not name.startswith("_")}


@pytest.mark.once
@pytest.mark.parametrize("backend", BACKENDS)
def test_names(backend):
    assert set(definitions(backend)) == names_of_protocol()


@pytest.mark.once
@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments(backend):
    for name, node in definitions(backend).items():
        if isinstance(node, ast.FunctionDef):
            declared = inspect.signature(getattr(protocol.Backend, name)).parameters
            arguments = node.args
            found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            found += [arguments.vararg] if arguments.vararg else []
            assert {argument.arg for argument in found} == set(declared) - {"self"}, name
