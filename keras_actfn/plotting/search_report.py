"""The result of a search as one HTML file that needs no other, for any width of screen."""

import base64
import datetime
import html
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import write_file
from ..search.results import SearchRow
from ..search.storage import RECORD
from ..search.tandem import latex_of
from .formula import Formulas
from .interactive import asset, function_card, map_html
from .search import search_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..search import ActivationSearch
    from ..search.verdict import Verdict

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1rem;
  color: #222; background: #fff }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2rem }
.best { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr));
  gap: 1rem } .best div { border: 1px solid #ddd; border-radius: .5rem; padding: .8rem 1rem }
.best strong { font-size: 1.6rem; font-variant-numeric: tabular-nums }
.best svg { font-size: 1.3em }
svg { height: auto; max-width: 100%; vertical-align: middle }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
td, th { padding: .35rem .5rem; text-align: left; border-bottom: 1px solid #ddd;
  vertical-align: top; overflow-wrap: anywhere } th { font-weight: 600; font-size: .9em }
th[data-sort] { cursor: pointer } th[aria-sort]::after { content: " ▲"; font-size: .7em }
th[aria-sort="descending"]::after { content: " ▼" }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.evaluations { table-layout: fixed } .evaluations th:first-child { width: 1.8em }
.evaluations th.value { width: 4em } .evaluations th.order { width: 2.6em }
.comparison { table-layout: fixed; font-variant-numeric: tabular-nums }
.facts th { width: 7em } small { color: #666 }
code { font-size: .8rem; color: #555; overflow-wrap: anywhere } .note { color: #666 }
img { max-width: 100%; height: auto } pre { overflow-x: auto; font-size: .8rem }
"""


def write_report(
    search: "ActivationSearch",
    path: Path,
    verdict: "Verdict | None" = None,
    figures: "dict[str, Figure] | None" = None,
) -> Path:
    """Write the page; see `ActivationSearch.report`."""
    rows = search.table()
    if not rows:
        raise ValueError("There is nothing to report: no function was evaluated yet.")
    record = search.study.user_attrs[RECORD]
    about = record.get("about", search.about)
    title = f"Activation search: {about['model']} on {about['data']}"
    formulas = Formulas()
    parts = [f"<h1>{html.escape(title)}</h1>", _best(rows, about["measure"], formulas)]
    if verdict is not None:
        parts += ["<h2>Verdict on the test data</h2>", _verdict(verdict)]
    parts += ["<h2>Evaluations</h2>", _evaluations(rows, formulas)]
    figures = search.plot() if figures is None else figures
    parts += ["<h2>Progress</h2>", _image(figures["progress"], "progress")]
    parts += ["<h2>Map</h2>", _map(search, rows, about["measure"], formulas)]
    parts += ["<h2>Functions</h2>", _image(figures["functions"], "functions")]
    parts += ["<h2>About this search</h2>", _facts(search, rows, about)]
    settings = html.escape(json.dumps(record, indent=1, ensure_ascii=False))
    parts.append(f"<details><summary>All settings</summary><pre>{settings}</pre></details>")
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{asset('tables.js')}</script></head>\n<body>\n{formulas.letters()}"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page)
    return path


def _best(rows, measure, formulas):
    """The best function beside the best usual one."""
    ended = [row for row in rows if not row.diverged]
    if not ended:
        return f"<p>All {len(rows)} evaluations failed.</p>"
    usual = next((row for row in ended if row.baseline), None)
    cards = [("Best function", ended[0])]
    if usual is not None and usual != ended[0]:
        cards.append(("Best usual function", usual))
    elif usual is not None:
        cards = [("Best function, a usual one", usual)]
    shown = "".join(
        f"<div><small>{name}</small><br>{_function(row, formulas)}<br>"
        f"<strong>{row.value:.4f}</strong> <small>{html.escape(measure)}</small></div>"
        for name, row in cards
    )
    return f'<div class="best">{shown}</div>'


def _evaluations(rows: list[SearchRow], formulas: Formulas) -> str:
    order = _order(rows)
    lines = [
        '<thead><tr><th class="number" data-sort="number">#</th><th data-sort="text">function</th>'
        '<th class="number value" data-sort="number">value</th>'
        '<th class="number order" data-sort="number">eval.</th></tr></thead><tbody>'
    ]
    for rank, row in enumerate(rows, start=1):
        notes = {"failed": row.diverged, "stopped early": row.pruned, "usual": row.baseline}
        note = ", ".join(name for name, holds in notes.items() if holds)
        note = f' <span class="note">({note})</span>' if note else ""
        value = "–" if row.value is None else f"{row.value:.4f}"
        lines.append(
            f'<tr><td class="number">{rank}</td>'
            f'<td data-value="{html.escape(row.expression)}">{_function(row, formulas)}{note}</td>'
            f'<td class="number">{value}</td><td class="number">{order[row.number]}</td></tr>'
        )
    return f'<table class="evaluations">{"".join(lines)}</tbody></table>'


def _map(search, rows, measure, formulas):
    """The candidates where the embedding puts them, with a card for each evaluated one."""
    placed, order = search_map(search), _order(rows)
    by_text = {row.expression: row for row in rows}
    cards = []
    for text in placed.labels:
        row = by_text[text]
        figures = {
            measure: "failed" if row.value is None else f"{row.value:.4f}",
            "evaluation": str(order[row.number]),
        }
        cards.append(function_card(formulas.svg(latex_of(text), text), text, figures))
    return map_html(placed, measure, cards, mode=search.objective.criterion.mode)


def _order(rows):
    """The place of each row among the evaluations, by the number of its trial."""
    return {row.number: place for place, row in enumerate(sorted(rows, key=_number), start=1)}


def _function(row, formulas):
    """The formula, and the text from which `keras_actfn.activation` makes the layer."""
    text = f"<code>{html.escape(row.expression)}</code>"
    drawn = formulas.svg(latex_of(row.expression), row.expression)
    return text if drawn is None else f"{drawn}<br>{text}"


def _verdict(verdict):
    """The answer, and both sides in a column each: so the table fits a narrow screen."""
    headings, body = verdict.cells()
    lines: list[str] = []
    for heading, *cells in zip(headings, *body, strict=True):
        tag = "th" if not lines else "td"
        shown = [f"<code>{html.escape(c)}</code>" if not lines else html.escape(c) for c in cells]
        columns = "".join(f"<{tag}>{cell}</{tag}>" for cell in shown)
        lines.append(f"<tr><th>{html.escape(heading)}</th>{columns}</tr>")
    table = f'<table class="comparison">{"".join(lines)}</table>'
    return f"<p><strong>{html.escape(verdict.text)}</strong></p>{table}"


def _facts(search, rows, about):
    counts = search.store.counts()
    trials = search.study.get_trials(deepcopy=False)
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    facts = {
        "Model": f"{about['model']}, {about['parameters']:,} parameters with ReLU",
        "Data": about["data"],
        "Space": f"{about['space']}, {_count(about['functions'], 'function')}: "
        + ", ".join(about["schemas"]),
        "Spectra": f"{_count(counts['probed'], 'function')} probed, {counts['valid']} of them with "
        f"a valid Fisher spectrum ({about['spectra']})"
        if about["spectra"] != "none"
        else f"none; {_count(counts['valid'], 'function')} with finite outputs",
        "Evaluations": f"{len(rows)}, of which {sum(row.diverged for row in rows)} failed and "
        f"{sum(row.pruned for row in rows)} were stopped early",
        "Backend": about["backend"],
        "Study": search.study.study_name,
    }
    if "epochs" in about:
        train, held_out = about["train_examples"], about["validation_examples"]
        how = f"recipe {about['recipe']}" if about["recipe"] else "as the model is compiled"
        facts["Training"] = f"{_count(about['epochs'], 'epoch')}, {how}" + "".join(
            (
                f"; {train:,} examples, {about['batch_size']} per step" if train else "",
                f"; {held_out:,} examples held out" if held_out else "",
            )
        )
    if ends:
        first, last = (f"{moment:%Y-%m-%d %H:%M}" for moment in (min(ends), max(ends)))
        facts["Evaluated"] = first if first == last else f"{first} to {last}"
    facts["Written"] = f"{datetime.datetime.now():%Y-%m-%d %H:%M}"
    lines = (
        f"<tr><th>{name}</th><td>{html.escape(str(fact))}</td></tr>" for name, fact in facts.items()
    )
    return f'<table class="facts">{"".join(lines)}</table>'


def _count(number, what):
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _number(row):
    return row.number


def _image(figure, name):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{name}" src="data:image/png;base64,{data}">'
