"""The files of the built site: every link and picture exists, every page is near the front page."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

SITE = Path(os.environ["SITE"]).absolute()
sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))

#: What Sphinx makes of itself.
_OTHER = ("_static", "_downloads", "_images", "_sources", "genindex", "py-modindex", "search")


def pages():
    """Every page, by its path from the site's folder."""
    found = (path.relative_to(SITE) for path in SITE.rglob("*.html"))
    return sorted(path for path in found if path.parts[0].partition(".")[0] not in _OTHER)


def targets(page, attribute):
    """The local files that a page names, absolute; fragments and queries left out."""
    text = (SITE / page).read_text(encoding="utf-8")
    for target in re.findall(rf'<[^>]*\s{attribute}="([^"]+)"', text):
        if not re.match(r"[a-z]+:|#|//", target):
            name = unquote(re.split("[#?]", target)[0])
            yield (SITE / page).parent.joinpath(name).resolve() if name else SITE / page


def test_every_link_and_picture_exists():
    missing = {
        f"{page}: {target.name}"
        for page in pages()
        for attribute in ("href", "src")
        for target in targets(page, attribute)
        if not target.exists()
    }
    assert len(pages()) > 250 and not missing


def test_nothing_is_loaded_from_elsewhere():
    loaded = r'<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//|<link[^>]*stylesheet[^>]*//'
    assert [page for page in pages() if re.search(loaded, (SITE / page).read_text("utf-8"))] == []


def test_every_page_is_two_clicks_from_the_front_page():
    reached = near = {SITE / "index.html"}
    for _ in range(2):
        near = {
            target
            for page in near
            for target in targets(page.relative_to(SITE), "href")
            if target.suffix == ".html"
        }
        reached = reached | near
    assert sorted({SITE / page for page in pages()} - reached) == []


def test_llms_names_every_page():
    named = set(re.findall(r"\]\(([^)]+)\)", (SITE / "llms.txt").read_text(encoding="utf-8")))
    assert named == {str(page) for page in pages()} - {"index.html"}


def test_every_public_name_has_a_page_and_no_other():
    from public_names import packages, public_names

    expected = {name.full for name in public_names()} | set(packages()) | {"index", "commands"}
    assert {path.stem for path in (SITE / "reference").glob("*.html")} == expected


def test_public_names_are_described():
    from public_names import public_names

    for name in public_names():
        text = (SITE / "reference" / f"{name.full}.html").read_text(encoding="utf-8")
        body = re.search(r"<dd>(.*?)</dd>", text, re.DOTALL)
        assert name.kind == "module" or re.sub("<[^>]+>", "", body[1]).strip(), name.full


def test_every_function_has_a_page():
    from gallery import functions

    expected = {each.name for each in functions()} | {"index"}
    assert {path.stem for path in (SITE / "functions").glob("*.html")} == expected


@pytest.mark.parametrize("source", sorted(Path("docs").glob("*.md")), ids=lambda p: p.stem)
def test_every_guide_is_there_with_its_headings(source):
    text = (SITE / f"{source.stem}.html").read_text(encoding="utf-8")
    shown = re.sub("<[^>]+>|\\s", "", " ".join(re.findall(r"<h[12]>(.*?)<a", text, re.DOTALL)))
    prose = re.sub(r"```.*?```", "", source.read_text(encoding="utf-8"), flags=re.DOTALL)
    for heading in re.findall(r"^##? (.+)$", prose, re.MULTILINE):
        words = re.findall(r"[A-Za-z]+", re.sub(r"\]\(.*?\)", "]", heading))
        assert all(word in shown for word in words), heading


@pytest.mark.parametrize("tutorial", sorted(Path("tutorials").glob("0*.py")), ids=lambda p: p.stem)
def test_tutorials_show_what_they_print_and_draw(tutorial):
    text = (SITE / "tutorials" / f"{tutorial.stem}.html").read_text(encoding="utf-8")
    assert "sphx-glr-script-out" in text
    saves = re.search("savefig|save_figure", tutorial.read_text(encoding="utf-8"))
    assert bool(re.search("sphx-glr-(single|multi)-img", text)) == bool(saves)
