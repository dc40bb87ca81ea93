"""Sphinx extension: a page for every activation function, and an index that filters and sorts."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from atlas_results import TaskResult, benches, number, results_of
from cases import braced
from costs import cost_text
from exports import export_text
from function_facts import Facts, facts_of
from function_pictures import curve_picture, save_spectra, sections_picture, thumbnail
from function_table import Definition
from gallery_functions import GalleryFunction, functions
from pages import write_pages

from keras_actfn.expressions import DISCOVERED
from keras_actfn.plotting.formula import Formulas

FOLDER = "functions"


def setup(app):
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda app: write_gallery(Path(app.srcdir)), priority=100)
    app.add_js_file("gallery.js")
    return {"parallel_read_safe": True}


def write_gallery(source: Path) -> None:
    """Write `functions/`: the index and a page with pictures for each function."""
    folder = source / FOLDER
    folder.mkdir(exist_ok=True)
    shown = functions()
    facts = {each.name: each.function and facts_of(each.function) for each in shown}
    results = {each.name: results_on_atlas(each) for each in shown}
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


def results_on_atlas(each: GalleryFunction) -> list[TaskResult]:
    """The results of a function that does not learn; the atlas has no others."""
    if each.function is None or each.family == "learned":
        return []
    if each.operator is not None or each.family == "discovered":
        return results_of(f"{each.name}(x)" if each.operator else str(each.function))
    return results_of(each.spec) if each.spec else []


def page(
    each: GalleryFunction, facts: Facts | None, results: Sequence[TaskResult], spectrum: bool
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
    if results:
        parts += ["## On the atlas", *_atlas_text(results)]
    parts += cost_text(each.name)
    if spectrum:
        parts += [
            "## Fisher spectrum of LeNet-5",
            "Distribution of the logarithms of the eigenvalues of all layers of the untrained "
            "network, on 32 images of scikit-learn's digits, beside ReLU's.",
            f"![Fisher spectrum of LeNet-5 with {each.name}]({each.name}_spectrum.png)",
        ]
    parts += export_text(each.name)
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


def _atlas_text(results):
    rows = [
        (
            each.task,
            each.measure,
            each.text(),
            "" if each.diverged else number(each.test),
            str(each.seeds),
            f"{each.rank:,} of {each.functions:,}",
        )
        for each in results
    ]
    return [
        "Results on the tasks of [the atlas](../atlas.md) that know this function: means over "
        "seeds, with the 95 % interval by the task's spread between seeds where it is known. Ranks "
        "are by the median on validation data.",
        table(rows, ("task", "measure", "validation", "test", "seeds", "rank")),
    ]


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
    results: dict[str, list[TaskResult]],
) -> str:
    """The index, a table that a script makes filter and sort."""
    formulas = Formulas()
    rows = [_index_row(e, facts[e.name], results[e.name], formulas) for e in shown]
    families = dict.fromkeys(each.family for each in shown)
    boxes = "".join(
        f'<label><input type="checkbox" value="{family}" checked> {family}</label>'
        for family in families
    )
    tasks = "".join(f"<option>{name}</option>" for name in benches())
    headings = (
        ("", ""),
        ("name", "text"),
        ("family", "text"),
        ("values", ""),
        ("kinks", "number"),
        ("monotone", "text"),
        ("gain", "number"),
        ("result", "number"),
    )
    head = "".join(
        f'<th data-sort="{kind}" tabindex="0">{name}</th>' if kind else f"<th>{name}</th>"
        for name, kind in headings
    )
    table = (
        f"{formulas.letters()}"
        '<div class="gallery-filter"><input type="search" id="gallery-text" '
        'placeholder="Filter by name or formula" aria-label="Filter by name or formula">'
        f'<span class="families">{boxes}</span>'
        f'<label>result on <select id="gallery-task">{tasks}</select></label>'
        '<span id="gallery-count"></span></div>'
        f'<div class="gallery-table"><table id="gallery"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    names = "\n".join(each.name for each in shown)
    return (
        "# Functions\n\n"
        "One page for each: operators of expressions, activations of Keras, layers that learn, and "
        "functions that searches discovered. *Kinks* counts the places where the slope or the "
        "value jumps, on [−10, 10]. *Gain* is AutoInit's factor for the next weights, 1/√E[f(z)²]. "
        "*Result* is the mean over seeds on validation data of a task of [the atlas](../atlas.md), "
        "where that is known.\n\n"
        f"{raw(table)}\n\n:::{{toctree}}\n:hidden:\n\n{names}\n:::\n"
    )


def _index_row(each, facts, results, formulas):
    picture = thumbnail(each.function) if each.function is not None else ""
    definition = each.entry.definition
    short = definition if isinstance(definition, str) else None
    drawn = formulas.svg(short, short) if short and len(short) < 60 else None
    by_task = {r.task: "diverged" if r.diverged else number(r.value) for r in results}
    cells = [
        picture,
        f'<a href="{each.name}.html">{html.escape(each.name)}</a>'
        + (f'<span class="short">{drawn}</span>' if drawn else ""),
        each.family,
        range_text(facts) if facts else "",
        str(len(facts.kinks) + len(facts.jumps)) if facts else "",
        facts.monotone if facts else "",
        f"{facts.gain:.3f}" if facts and facts.gain else "",
    ]
    words = " ".join([each.name, *each.keras_names, str(definition), each.spec or ""]).lower()
    attributes = f'data-family="{each.family}" data-words="{html.escape(words)}"'
    return (
        f"<tr {attributes}>{''.join(f'<td>{cell}</td>' for cell in cells)}"
        f'<td data-results="{html.escape(json.dumps(by_task))}">'
        f"{by_task.get(next(iter(benches())), '')}</td></tr>"
    )
