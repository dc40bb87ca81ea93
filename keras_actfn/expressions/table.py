"""The operator table as Markdown: `python -m keras_actfn.expressions.table` prints it."""

from .registry import operators


def markdown_table() -> str:
    """Return a table of all operators: name, arguments, formula, note on the derivative."""
    lines = ["| operator | arguments | formula | derivative |", "|---|---|---|---|"]
    for operator in operators():
        count = "two or more" if operator.arity is None else operator.arity
        formula = operator.formula.replace("|", r"\|")
        lines.append(f"| `{operator.name}` | {count} | {formula} | {operator.note} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
