"""The operator table as Markdown: `python -m keras_actfn.expressions.table` prints it."""

from .registry import operators


def markdown_table() -> str:
    """Return a table of all operators: name, arguments, formula, latency, derivative."""
    lines = ["| operator | arguments | formula | latency | derivative |", "|---|---|---|---|---|"]
    for operator in operators():
        count = "two or more" if operator.arity is None else operator.arity
        formula = operator.formula.replace("|", r"\|")
        cells = (f"`{operator.name}`", count, formula, operator.latency, operator.note)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
