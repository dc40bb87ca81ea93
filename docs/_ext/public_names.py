"""The public names of the package: what `__all__` of its public packages lists."""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from typing import Any

import keras_actfn


@dataclasses.dataclass(frozen=True)
class PublicName:
    """A name that other people's code may use.

    Attributes:
        package: The package whose `__all__` has it, such as "keras_actfn.layers".
        name: The name.
        value: What it is.
        kind: "class", "exception", "function", "module" or "data".
    """

    package: str
    name: str
    value: Any
    kind: str

    @property
    def full(self) -> str:
        """The name with its package's."""
        return f"{self.package}.{self.name}"


def packages() -> list[str]:
    """The public packages, the top one first."""
    return ["keras_actfn", *(f"keras_actfn.{name}" for name in sorted(keras_actfn._PACKAGES))]


@functools.cache
def public_names() -> list[PublicName]:
    """Every public name, by package and name; packages themselves are not among them."""
    found = []
    for package in packages():
        module = importlib.import_module(package)
        for name in sorted(module.__all__, key=str.lower):
            if name == "__version__" or f"{package}.{name}" in packages():
                continue
            value = getattr(module, name)
            found.append(PublicName(package, name, value, _kind(value)))
    return found


def _kind(value):
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def comment_of(public: PublicName) -> str:
    """The comment `#:` above a constant, wherever in its package it is defined."""
    from sphinx.pycode import ModuleAnalyzer

    package = importlib.import_module(public.package)
    modules = [public.package]
    modules += [m.name for m in pkgutil.walk_packages(package.__path__, f"{public.package}.")]
    for module in modules:
        comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", public.name) in comments:
            return "\n".join(comments["", public.name]).strip()
    return ""


def members(cls: type) -> list[tuple[str, str, Any]]:
    """(kind, name, value) of the documented methods and properties that this package gives a class.

    What Keras's base classes define is Keras's to document.
    """
    found: dict[str, tuple[str, str, Any]] = {}
    for base in cls.__mro__:
        if not base.__module__.startswith("keras_actfn"):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or name in found:
                continue
            function = getattr(value, "__func__", value)
            if isinstance(value, property) or hasattr(value, "attrname"):
                kind, function = "property", getattr(value, "fget", None) or value.func
            elif isinstance(value, classmethod):
                kind = "classmethod"
            elif isinstance(value, staticmethod):
                kind = "staticmethod"
            elif inspect.isfunction(value):
                kind = "method"
            else:
                continue
            if function.__doc__:
                found[name] = (kind, name, function)
    return sorted(found.values(), key=lambda row: row[1])
