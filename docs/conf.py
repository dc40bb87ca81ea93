"""The site: `make docs` builds it from these pages, the docstrings and the tutorials."""

import os
import sys
from importlib import resources
from pathlib import Path

# The pages' numbers and pictures are computed by the package that is imported here.
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import keras_actfn
import tutorials

project = "keras-actfn"
author = "The keras-actfn maintainers"
copyright = author
version = release = keras_actfn.__version__

extensions = [
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "mathtext",
    "reference",
    "gallery",
    "atlas",
    "llms",
    "code_links",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_ext", "_static"]
language = "en"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries = False

# In the tutorials' comments, `name` is code as everywhere.
default_role = "code"
sphinx_gallery_conf = {
    "examples_dirs": str(tutorials.copied()),
    "gallery_dirs": "tutorials",
    "filename_pattern": r"\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("tutorials.pictures",),
    "reset_modules": ("tutorials.forget_pictures",),
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "copyfile_regex": "",
    "min_reported_time": 1e9,  # times differ from build to build
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"keras-actfn {release}"
html_static_path = ["_static", str(resources.files("keras_actfn.plotting") / "assets")]
html_js_files = ["offline.js", "tables.js"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "keras-actfn"},
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "header_links_before_dropdown": 8,
    "collapse_navigation": True,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_context = {"default_mode": "auto"}
# Pages without siblings, and wide tables.
html_sidebars = {name: [] for name in ("index", "functions/index", "atlas", "papers")}
