"""What the site says of functions and names, where it can be said without building the site."""

import dataclasses
import gzip
import inspect
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import keras_actfn
from keras_actfn import activation
from keras_actfn._activation import LAYERS
from keras_actfn._keras_activations import KERAS_ACTIVATIONS
from keras_actfn.expressions import DISCOVERED, parse
from keras_actfn.expressions.operators import BUILT_IN
from keras_actfn.plotting.formula import Formulas, formula_svg

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def extensions():
    """The site's own modules, which are no package."""
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    yield
    sys.path.remove(str(ROOT / "docs" / "_ext"))


@pytest.fixture(scope="module")
def functions():
    """Every function of the gallery by its name."""
    from gallery import functions

    found = functions()
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def test_every_function_of_the_package_and_of_keras_is_in_the_gallery(functions):
    assert set(BUILT_IN) | set(DISCOVERED) <= set(functions)
    words = {each.spec.partition("(")[0] for each in functions.values() if each.family == "learned"}
    assert set(LAYERS) == words
    named = {name for each in functions.values() for name in each.keras_names}
    assert {alias for row in KERAS_ACTIVATIONS.values() for alias in (row.name, *row.aliases)} - {
        "linear"  # the identity, by another name below
    } <= named
    assert "linear" in functions["identity"].keras_names


def test_definitions_can_be_drawn(functions):
    from gallery import defined

    for each in functions.values():
        assert defined(each.entry.definition, Formulas()).count("<svg") >= 1, each.name
        assert each.entry.advice.endswith("."), each.name


def test_formulas_of_docstrings_can_be_drawn():
    from cases import draw_cases
    from public_names import members, public_names

    undrawn, count = [], 0

    def draw(latex):
        undrawn.extend([latex] if formula_svg(" ".join(latex.split()), "") is None else [])
        return ""

    for name in public_names():
        own = members(name.value) if name.kind == "class" else []
        for value in (name.value, *(value for _, _, value in own)):
            for latex in re.findall(r"\$\$(.+?)\$\$", inspect.getdoc(value) or "", re.DOTALL):
                count += 1
                draw_cases(latex, draw)
    assert count > 10 and undrawn == []


def test_cases_stand_behind_a_brace():
    from cases import draw_cases, has_cases

    latex = r"f(x) = \begin{cases} x & x > 0 \\ 0 & x \le 0 \end{cases}, \quad x"
    assert has_cases(latex) and not has_cases("f(x) = x")
    assert draw_cases(latex, lambda part: f"[{part}]") == (
        '<div class="definition">[f(x) =]<span class="brace"></span><span class="cases">'
        "<span>[x]</span><span>[x > 0]</span><span>[0]</span><span>[x \\le 0]</span></span>"
        "[, \\quad x]</div>"
    )


def test_what_a_page_draws_is_what_the_specification_makes(functions):
    """By the layer itself, on both signs of x."""
    everywhere = np.linspace(-4, 4, 33).astype("float32")
    for each in functions.values():
        if each.spec is None or each.function is None or each.name == "reciprocal":
            continue
        layer = activation(each.spec)
        x = everywhere
        if each.name == "rational":  # Beyond what it is fitted on it is another function.
            x = x[(x >= layer.low) & (x <= layer.high)]
        made = layer(x.reshape(1, -1))
        made = np.asarray(made.detach() if hasattr(made, "detach") else made).ravel()
        np.testing.assert_allclose(
            made, each.function(x.astype("float64")), rtol=2e-5, atol=2e-6, err_msg=each.name
        )


@pytest.mark.parametrize(
    ("text", "low", "high", "kinks", "monotone", "gain"),
    [
        ("relu(x)", 0, np.inf, (0.0,), "rising", np.sqrt(2)),
        ("negative(x)", -np.inf, np.inf, (), "falling", 1.0),
        ("square(x)", 0, np.inf, (), "no", 1 / np.sqrt(3)),
        ("erf(x)", -1, 1, (), "rising", (2 / np.pi * np.arcsin(2 / 3)) ** -0.5),
        ("hard_sigmoid(x)", 0, 1, (-2.5, 2.5), "rising", None),
        ("max(min(x/6+0.5,1),0)", 0, 1, (-3.0, 3.0), "rising", None),
        ("exp(x)", 0, np.inf, (), "rising", np.exp(-1)),
        ("min(square(x),2)", 0, 2, (-np.sqrt(2), np.sqrt(2)), "no", None),
    ],
)
def test_facts_of_functions_that_are_known_in_closed_form(text, low, high, kinks, monotone, gain):
    from function_facts import facts_of

    facts = facts_of(parse(text))
    assert (facts.low, facts.high) == pytest.approx((low, high), abs=1e-9)
    assert facts.jumps == () and facts.monotone == monotone
    assert facts.kinks == pytest.approx(kinks, abs=2e-4)
    if gain is not None:
        assert facts.gain == pytest.approx(gain, rel=2e-5)


def test_poles_and_curvature():
    from function_facts import curve_of, facts_of

    facts = facts_of(parse("1/(x-1)"))
    assert facts.jumps == pytest.approx((1.0,), abs=1e-4) and facts.kinks == ()
    assert facts.gain is None
    curve = curve_of(parse("x**3"), -2, 2, 41)
    np.testing.assert_allclose(curve.derivatives[1], 3 * curve.x**2, atol=1e-6)
    np.testing.assert_allclose(curve.derivatives[2], 6 * curve.x, atol=1e-5)
    assert np.isnan(curve_of(parse("abs(x)"), -1, 1, 3).derivatives[2, 1])


def raw_lines(task):
    """The trainings of a task as they were printed."""
    with gzip.open(ROOT / "benchmarks" / "atlas" / f"{task}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def test_results_are_those_of_the_raw_lines():
    """ReLU's on every task, and an interval wherever a task has functions with several seeds."""
    from atlas_results import benches, results_of

    found = results_of("relu(x)")
    assert [each.task for each in found] == list(benches())
    for each in found:
        lines = raw_lines(each.task)
        metric = benches()[each.task].metric
        own = [line for line in lines if line["function"] == "add(zero(x),relu(x))"]
        assert each.seeds == len(own) and each.diverged == sum(line["diverged"] for line in own)
        assert each.value == pytest.approx(np.mean([line[f"validation_{metric}"] for line in own]))
        assert each.test == pytest.approx(np.mean([line[f"test_{metric}"] for line in own]))
        assert np.isfinite(each.half) == any(line["seed"] for line in lines)
        assert each.functions == len({line["function"] for line in lines})


def test_diverged_trainings_have_no_value():
    from atlas_results import results_of

    lines = raw_lines("fashion_cnn")
    failed = next(line["function"] for line in lines if line["diverged"])
    result = next(each for each in results_of(failed) if each.task == "fashion_cnn")
    assert result.text() == "diverged" and np.isnan(result.value) and np.isnan(result.test)
    some = dataclasses.replace(result, seeds=3)
    assert some.text() == "diverged in 1 of 3"


def test_a_page_of_a_function(functions):
    """ReLU's, with its numbers, and the index with a row for each."""
    from atlas_results import number
    from function_facts import facts_of
    from gallery import index, page, results_on_atlas

    relu = functions["relu"]
    facts, results = facts_of(relu.function), results_on_atlas(relu)
    text = page(relu, facts, results, False)
    for part in ("# relu\n", "| values | 0 to ∞ |", "1.4142", "slope jumps at | 0 |", "2,412"):
        assert part in text
    for each in results:
        assert f"| {each.task} | {each.measure} | {number(each.value)}" in text
    assert re.search(r'activation\("relu"\)', text)
    both = [relu, functions["softmax"]]
    table = index(both, {"relu": facts, "softmax": None}, {"relu": results, "softmax": []})
    assert table.count("<tr ") == 2 and table.count("data-sort=") == 6
    assert results_on_atlas(functions["pwl"]) == []  # It learns, and is not what it starts as.


def test_costs_are_those_of_the_printed_benchmarks():
    from costs import LATENCIES, LAYERS, cost_rows, cost_text, latency

    layers = (ROOT / "benchmarks" / "layers.txt").read_text(encoding="utf-8")
    for name in LAYERS:
        rows = cost_rows(name)
        assert len(rows) == layers.count(f"\n| {LAYERS[name]} |") > 0, name
        for _, layer, step in rows:
            assert f"| {LAYERS[name]} | {layer} | {step} |" in layers
    deploy = (ROOT / "benchmarks" / "deploy.txt").read_text(encoding="utf-8")
    for name in LATENCIES:
        alone, behind = latency(name)
        assert f"| {LATENCIES[name]} | {alone} | {behind} |" in deploy
    assert cost_text("relu") == []


def test_exports_are_those_of_the_printed_benchmark(functions):
    """Every function of one number has a row, and what the export tests assert stands there."""
    from exports import export_rows, export_text

    for each in functions.values():
        wanted = each.spec is not None and each.function is not None
        assert bool(export_rows(each.name)) == wanted, each.name
    for name in ("aff", "pwl", "crrelu", "spline", "acon", "dyt"):
        rows = {form: cells for form, *cells in export_rows(name)}
        assert rows["`tf_saved_model`"] == ["yes", "yes", ""], name
        assert rows["`onnx`"] == ["yes", "", "yes"] and rows["`torch`"] == ["", "", "yes"], name
        assert rows["`litert`"] == ["yes", "", ""], name
    assert export_text("softmax") == []


def test_public_names_are_those_of_the_packages():
    from public_names import members, packages, public_names

    names = public_names()
    found = {name.full for name in names}
    assert {f"keras_actfn.{package}" for package in keras_actfn._PACKAGES} < set(packages())
    for text in ("activation", "layers.PWL", "search.ActivationSearch", "theory.GaussianMixture"):
        assert f"keras_actfn.{text}" in found
    for name in names:
        assert name.kind == "data" or inspect.getdoc(name.value), name.full
    own = {member for _, member, _ in members(keras_actfn.layers.PWL)}
    assert {"evaluate", "range_for"} <= own and "add_weight" not in own


def test_docstrings_become_markdown():
    from docstrings import markdown, summary

    text = (
        "The sum of `x`.\n\nIt adds. See below.\n\nArgs:\n    x: A number,\n        or two.\n"
        "    *more: Others.\n\nRaises:\n    ValueError: If not.\n\nInput shape:\n    Any.\n\n"
        "Example:\n```python\nf(1)\n```\n"
    )
    assert markdown(text) == (
        "The sum of `x`.\n\nIt adds. See below.\n\n**Arguments**\n\n`x`\n: A number,\n  or two.\n\n"
        "`*more`\n: Others.\n\n**Raises**\n\n`ValueError`\n: If not.\n\n**Input shape**\n\nAny.\n\n"
        "**Example**\n\n```python\nf(1)\n```\n"
    )
    assert markdown("F.\n\nExample:\n    >>> f(1)\n    2\n") == (
        "F.\n\n**Example**\n\n\n```pycon\n>>> f(1)\n2\n```\n"
    )
    assert summary(text) == "The sum of `x`."


def test_the_citation_names_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == keras_actfn.__version__
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]
    for reference in citation["references"]:
        assert reference["type"] == "article" and reference["title"] and reference["authors"]


def test_pre_commit_checks_what_lint_checks():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert "entry: make lint" in text
    assert "\nlint:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_site_is_built_with_versions_that_are_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    for requirement in project["project"]["optional-dependencies"]["docs"]:
        assert f"\n{re.split('[>=]', requirement)[0]}==" in pinned, requirement


def test_every_page_is_in_a_table_of_contents():
    contents = [
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("index", "guides")
    ]
    listed = re.findall(r"^(?:\w+ <)?(\w+)>?$", "\n".join(contents), re.MULTILINE)
    assert {path.stem for path in ROOT.glob("docs/*.md")} - {"index"} <= set(listed)


def test_no_page_has_the_name_of_one_that_sphinx_writes():
    assert not {path.stem for path in ROOT.glob("docs/*.md")} & {
        "search",
        "genindex",
        "py-modindex",
    }


def test_tutorials_are_pages():
    """Each begins with its title, underlined, and has a block for each step."""
    for path in ROOT.glob("tutorials/[0-9]*.py"):
        title, line = path.read_text(encoding="utf-8").splitlines()[:2]
        assert line == "=" * len(title.removeprefix('"""')), path.name
        assert path.read_text(encoding="utf-8").count("\n# %%\n") >= 3, path.name
