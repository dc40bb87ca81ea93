"""Python reads this first where the folder is on its path: there is no TensorFlow to import.

Keras imports it on every backend where it is installed, to seed it, which takes seconds.
"""

import os
import sys

if os.environ.get("KERAS_BACKEND") in ("jax", "torch"):
    sys.modules["tensorflow"] = None
