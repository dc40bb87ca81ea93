"""Sphinx extension: a page for every activation function, and an index that filters and sorts."""

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from cases import braced
from function_facts import BenchResult, Facts, Function, bench_result, facts_of, seed_deviation
from function_pictures import curve_picture, save_spectra, sections_picture, thumbnail
from function_table import DISCOVERED_ADVICE, KERAS, LEARNED, OPERATORS, Definition, Entry
from pages import write_pages

from keras_actfn._keras_activations import KERAS_ACTIVATIONS
from keras_actfn.expressions import DISCOVERED, Operator, parse
from keras_actfn.expressions.names import AMBIGUOUS
from keras_actfn.expressions.operators import BUILT_IN
from keras_actfn.plotting.formula import Formulas

FOLDER = "functions"


def setup(app):
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda app: write_gallery(Path(app.srcdir)), priority=100)
    app.add_js_file("gallery.js")
    return {"parallel_read_safe": True}


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryFunction:
    """One function of the gallery.

    Attributes:
        name: Of its page.
        family: "operator", "Keras", "learned" or "discovered".
        entry: Its definition and its use.
        spec: What `keras_actfn.activation` takes; None where a spec cannot name it.
        function: On float64 arrays; None for one that mixes entries.
        operator: Its operator, if it is one.
        keras_names: What Keras calls it.
    """

    name: str
    family: str
    entry: Entry
    spec: str | None = None
    function: Function | None = None
    operator: Operator | None = None
    keras_names: tuple[str, ...] = ()


def functions() -> list[GalleryFunction]:
    """Every operator, activation of Keras, learned layer and discovered function."""
    found = []
    equal = keras_equals()
    for operator in BUILT_IN.values():
        unary = operator.arity == 1
        found.append(
            GalleryFunction(
                operator.name,
                "operator",
                OPERATORS[operator.name],
                _spec_of(operator) if unary else None,
                operator.on_arrays if unary else None,
                operator,
                tuple(name for name, same in equal.items() if same == operator.name),
            )
        )
    for name, entry in KERAS.items():
        row = KERAS_ACTIVATIONS[entry.keras]
        usable = row.elementwise and not row.needs_arguments
        spec = {"hard_sigmoid": "max(min(x/6+0.5,1),0)"}.get(row.name, row.name)
        found.append(
            GalleryFunction(
                name,
                "Keras",
                entry,
                spec if row.function and not row.needs_arguments else None,
                on_arrays(row.function) if usable else None,
                keras_names=(row.name, *row.aliases),
            )
        )
    for spec, entry in LEARNED.items():
        name = spec.partition("(")[0]
        found.append(GalleryFunction(name, "learned", entry, spec, parse(entry.start)))
    for row in DISCOVERED.values():
        advice = DISCOVERED_ADVICE.format(task=row.task)
        entry = Entry(row.expression.latex(), advice)
        found.append(GalleryFunction(row.name, "discovered", entry, row.name, row.expression))
    return found


def _spec_of(operator):
    """The name alone where it means one function."""
    return f"{operator.name}(x)" if operator.name in AMBIGUOUS else operator.name


def on_arrays(function) -> Function:
    """A function of tensors as one of float64 arrays."""
    return lambda x: keras.ops.convert_to_numpy(
        function(keras.ops.convert_to_tensor(x, dtype="float64"))
    )


def keras_equals() -> dict[str, str]:
    """The operator that has the values of an activation of Keras, by the activation's names."""
    x = np.linspace(-7, 7, 1400)  # without 0, where the reciprocal has its pole
    found = {}
    for row in KERAS_ACTIVATIONS.values():
        if not row.elementwise or row.needs_arguments:
            continue
        values = on_arrays(row.function)(x)
        for operator in BUILT_IN.values():
            if operator.arity == 1 and np.allclose(operator.on_arrays(x), values, 1e-6, 1e-6):
                found |= dict.fromkeys((row.name, *row.aliases), operator.name)
    return found


def write_gallery(source: Path) -> None:
    """Write `functions/`: the index and a page with pictures for each function."""
    folder = source / FOLDER
    folder.mkdir(exist_ok=True)
    shown = functions()
    facts = {each.name: each.function and facts_of(each.function) for each in shown}
    results = {each.name: each.function and bench_result(_text(each)) for each in shown}
    spectra = save_spectra({e.name: e.spec for e in shown if e.function is not None}, folder)
    pages = {}
    for each in shown:
        if each.function is not None:
            curve_picture(each.function, folder / f"{each.name}.svg")
        elif each.operator is not None:
            sections_picture(each.operator, folder / f"{each.name}.svg")
        pages[each.name] = page(each, facts[each.name], results[each.name], each.name in spectra)
    pages["index"] = index(shown, facts, results)
    write_pages(folder, pages)


def _text(each):
    return str(each.function) if each.operator is None else f"{each.name}(x)"


def page(
    each: GalleryFunction, facts: Facts | None, result: BenchResult | None, spectrum: bool
) -> str:
    """The page of a function, in MyST Markdown."""
    formulas = Formulas()
    definition = defined(each.entry.definition, formulas)
    parts = [f"# {each.name}", raw(formulas.letters() + definition), _kind(each)]
    parts.append(f"**Use it when.** {each.entry.advice}")
    if each.spec is not None:
        parts.append(
            f'```python\nimport keras_actfn\n\nlayer = keras_actfn.activation("{each.spec}")\n```'
        )
    if each.function is not None or each.operator is not None:
        parts.append(f"![Curve of {each.name} with its derivatives]({each.name}.svg)")
    if facts is not None:
        parts.append(table(_fact_rows(each, facts)))
    if result is not None:
        parts += ["## On the benchmark", _bench_text(each, result)]
    if spectrum:
        parts += [
            "## Fisher spectrum of LeNet-5",
            "Cumulative distribution of the eigenvalues of each layer of the untrained network, on "
            "32 images of scikit-learn's digits, beside ReLU's.",
            f"![Fisher spectrum of LeNet-5 with {each.name}]({each.name}_spectrum.png)",
        ]
    parts += _export(each)
    return "\n\n".join(parts) + "\n"


def _kind(each):
    kinds = {
        "operator": "An operator of expressions",
        "Keras": "An activation of Keras",
        "learned": "A layer that learns its shape",
        "discovered": "A discovered function",
    }
    text = kinds[each.family]
    if each.operator is not None and each.operator.arity != 1:
        text += f" with {each.operator.describe_arity()}"
    if each.family == "discovered":
        row = DISCOVERED[each.name]
        text += f": number {row.rank} of the search for {row.task}, accuracy {row.accuracy:.4f} "
        text += f"in the paper ({row.source}, Table {row.table}). Its expression is `{row.text}`"
    if each.family == "learned":
        text += f". The curve is its start, before training (`{each.spec}`)"
    if each.keras_names:
        names = ", ".join(f"`{name}`" for name in each.keras_names)
        text += f". In `keras.activations`: {names}"
    return text + "."


def _fact_rows(each, facts):
    rows = [
        ("values", range_text(facts)),
        ("slope jumps at", ", ".join(map(_number, facts.kinks)) or "nowhere: no kinks"),
        ("monotone", facts.monotone),
    ]
    if facts.jumps:
        rows.insert(2, ("pole or jump at", ", ".join(map(_number, facts.jumps))))
    if each.operator is not None and each.operator.note:
        rows.append(("derivative", each.operator.note))
    if getattr(each.operator, "latency", ""):
        rows.append(("latency class", each.operator.latency))
    if facts.gain is not None:
        rows.append(("gain of AutoInit", f"{facts.gain:.4f} = 1/√E[f(z)²], z ~ N(0, 1)"))
    if facts.mean is not None:
        rows.append(("mean E[f(z)]", f"{facts.mean + 0.0:.4f}".replace("-0.0000", "0.0000")))
    return rows


def range_text(facts: Facts) -> str:
    """The infimum and supremum, such as "−1 to ∞"."""
    if facts.low == facts.high:
        return _number(facts.low)
    return f"{_number(facts.low)} to {_number(facts.high)}"


def _number(value):
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.4g}"
    return "0" if text in ("-0", "0") or abs(value) < 1e-9 else text.replace("-", "−")


def _bench_text(each, result):
    task = (
        "The benchmark trains a small convolutional network on 5,000 images of Fashion-MNIST for "
        "six epochs with each of the three-node space's functions."
    )
    if result.diverged:
        return f"{task} With {each.name} every training diverged."
    seeds = len(result.validation)
    middle, half = np.mean(result.validation), 1.96 * seed_deviation() / np.sqrt(seeds)
    times = "three seeds" if seeds == 3 else "one seed"
    return (
        f"{task}\n\n"
        f"Validation accuracy **{middle:.4f}**, 95 % interval {middle - half:.4f} to "
        f"{middle + half:.4f} ({times}; one training deviates by {seed_deviation():.4f}), test "
        f"accuracy {np.mean(result.test):.4f}. Rank {result.rank:,} of {result.functions:,} "
        "functions by validation accuracy."
    )


def _export(each):
    """What the tests of the package say of exporting a model with it."""
    if each.family == "learned":
        return [
            "## Export",
            "The tests export a model with this layer, run the file elsewhere and compare the "
            "outputs (1e-4 relative).",
            table(
                [
                    ("tf_saved_model", "yes", "yes", "no"),
                    ("onnx", "yes", "not tested", "yes"),
                    ("litert", "yes", "no", "not tested"),
                    ("torch", "no", "no", "yes"),
                ],
                ("format", "TensorFlow", "JAX", "PyTorch"),
            ),
            "See [surgery](../surgery.md) for what to know of each format.",
        ]
    return []


def table(rows: Sequence[Sequence[str]], heading: Sequence[str] | None = None) -> str:
    """A table in Markdown."""
    heading = heading or ("",) * len(rows[0])
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in lines
    )


def raw(text: str) -> str:
    """HTML in a page."""
    return f":::::{{raw}} html\n{text}\n:::::"


def defined(definition: Definition, formulas: Formulas) -> str:
    """A definition in HTML, cases one below the other behind a brace."""

    def drawn(latex):
        svg = formulas.svg(latex, latex)
        if svg is None:
            raise ValueError(f"This formula cannot be drawn: {latex}")
        return svg

    if isinstance(definition, str):
        return f'<div class="definition">{drawn(f"f(x) = {definition}")}</div>'
    rows = [(drawn(value), condition and drawn(condition)) for value, condition in definition]
    return f'<div class="definition">{drawn("f(x) =")}{braced(rows)}</div>'


def index(
    shown: Sequence[GalleryFunction],
    facts: dict[str, Facts | None],
    results: dict[str, BenchResult | None],
) -> str:
    """The index, a table that a script makes filter and sort."""
    formulas = Formulas()
    rows = [_index_row(e, facts[e.name], results[e.name], formulas) for e in shown]
    families = dict.fromkeys(each.family for each in shown)
    boxes = "".join(
        f'<label><input type="checkbox" value="{family}" checked> {family}</label>'
        for family in families
    )
    headings = (
        ("", ""),
        ("name", "text"),
        ("family", "text"),
        ("values", ""),
        ("kinks", "number"),
        ("monotone", "text"),
        ("gain", "number"),
        ("benchmark", "number"),
    )
    head = "".join(
        f'<th data-sort="{kind}" tabindex="0">{name}</th>' if kind else f"<th>{name}</th>"
        for name, kind in headings
    )
    table = (
        f"{formulas.letters()}"
        '<div class="gallery-filter"><input type="search" id="gallery-text" '
        'placeholder="Filter by name or formula" aria-label="Filter by name or formula">'
        f'<span class="families">{boxes}</span><span id="gallery-count"></span></div>'
        f'<div class="gallery-table"><table id="gallery"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    names = "\n".join(each.name for each in shown)
    return (
        "# Functions\n\n"
        "One page for each: operators of expressions, activations of Keras, layers that learn, and "
        "functions that searches discovered. *Kinks* counts the places where the slope or the "
        "value jumps, on [−10, 10]. *Gain* is AutoInit's factor for the next weights, 1/√E[f(z)²]. "
        "*Benchmark* is the mean validation accuracy of a small network on Fashion-MNIST, for the "
        "functions of the [three-node space](../search.md).\n\n"
        f"{raw(table)}\n\n:::{{toctree}}\n:hidden:\n\n{names}\n:::\n"
    )


def _index_row(each, facts, result, formulas):
    picture = thumbnail(each.function) if each.function is not None else ""
    definition = each.entry.definition
    short = definition if isinstance(definition, str) else None
    drawn = formulas.svg(short, short) if short and len(short) < 60 else None
    accuracy = np.mean(result.validation) if result and not result.diverged else None
    bench = "diverged" if result and result.diverged else ""
    cells = [
        picture,
        f'<a href="{each.name}.html">{html.escape(each.name)}</a>'
        + (f'<span class="short">{drawn}</span>' if drawn else ""),
        each.family,
        range_text(facts) if facts else "",
        str(len(facts.kinks) + len(facts.jumps)) if facts else "",
        facts.monotone if facts else "",
        f"{facts.gain:.3f}" if facts and facts.gain else "",
        f"{accuracy:.4f}" if accuracy is not None else bench,
    ]
    words = " ".join([each.name, *each.keras_names, str(definition), each.spec or ""]).lower()
    attributes = f'data-family="{each.family}" data-words="{html.escape(words)}"'
    return f"<tr {attributes}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
