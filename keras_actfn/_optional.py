"""Optional libraries, imported with an error that names the extra to install."""

import importlib
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra of keras-actfn brings it.

    Args:
        module: Dotted name of the module, such as `"scipy.special"`.
        extra: The extra of keras-actfn that installs it.

    Returns:
        The imported module.

    Raises:
        ImportError: If the module's distribution is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise ImportError(
            f"This part of keras_actfn needs the library '{package}', which is not installed. "
            f'Install it with: pip install "keras-actfn[{extra}]"'
        ) from error
