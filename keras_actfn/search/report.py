"""The result of a search as one HTML file that needs no other."""

import base64
import html
import io
import json

from .._files import write_file
from .storage import RECORD
from .tandem import latex_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #ddd }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: .92em } img { max-width: 100% } pre { overflow-x: auto }
"""


def write_report(search, path, comparison=None):
    """Write the page; see `ActivationSearch.report`."""
    rows = search.table()
    if not rows:
        raise ValueError("There is nothing to report: no function was evaluated yet.")
    counts = search.store.counts()
    ended = [row for row in rows if not row.diverged]
    best, baseline = (
        next((row for row in ended if row.baseline >= usual), None) for usual in (False, True)
    )
    parts = [
        f"<h1>Activation search: {html.escape(search.study.study_name)}</h1>",
        f"<p>All {len(rows)} evaluations failed.</p>"
        if best is None
        else f"<p>Best of {len(rows)} evaluations: <code>{html.escape(best.expression)}</code>, "
        f"validation metric {best.value:.4f}"
        + (
            f"; best of the usual functions: <code>{html.escape(baseline.expression)}</code>, "
            f"{baseline.value:.4f}.</p>"
            if baseline
            else ".</p>"
        ),
        f"<p>{counts['probed']} functions were probed, {counts['valid']} of them have a valid "
        "Fisher spectrum.</p>",
    ]
    if comparison is not None:
        parts += ["<h2>Trained again, on the test images</h2>", _comparison(comparison)]
    parts += ["<h2>Evaluations</h2>", _table(rows)]
    for name, figure in search.plot().items():
        parts += [f"<h2>{name.capitalize()}</h2>", _image(figure, name)]
    record = json.dumps(search.study.user_attrs[RECORD], indent=1)
    parts += ["<h2>Settings</h2>", f"<pre>{html.escape(record)}</pre>"]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Activation search</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page)
    return path


def _table(rows):
    lines = [
        "<tr><th>rank</th><th>function</th><th>LaTeX</th><th>validation</th><th>evaluation</th>"
        "<th></th></tr>"
    ]
    for rank, row in enumerate(rows, start=1):
        notes = {"failed": row.diverged, "stopped early": row.pruned, "baseline": row.baseline}
        note = next((name for name, holds in notes.items() if holds), "")
        lines.append(
            f'<tr><td class="number">{rank}</td><td><code>{html.escape(row.expression)}</code></td>'
            f"<td><code>{html.escape(latex_of(row.expression))}</code></td>"
            f'<td class="number">{"" if row.diverged else f"{row.value:.4f}"}</td>'
            f'<td class="number">{row.number}</td>'
            f"<td>{note}</td></tr>"
        )
    return f"<table>{''.join(lines)}</table>"


def _comparison(comparison):
    return f"<pre>{html.escape(comparison.markdown())}</pre>"


def _image(figure, name):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{name}" src="data:image/png;base64,{data}">'
