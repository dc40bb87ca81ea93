"""The built site in headless Chromium, opened from disk, as wide as a desk and as a phone."""

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from small_search import build, distance_to_softplus, points

SITE = Path(os.environ["SITE"]).absolute()
WIDTHS = {"desktop": 1280, "phone": 390}

PAGES = (
    "index",
    "guides",
    "choose",
    "coordinates",
    "deploy",
    "papers",
    "searching",
    "atlas",
    "tutorials/index",
    "tutorials/05_search_for_your_model",
    "functions/index",
    "functions/relu",
    "functions/selu",
    "functions/pwl",
    "functions/xielu",
    "functions/softmax",
    "reference/index",
    "reference/commands",
    "reference/keras_actfn.layers.PWL",
    "reference/keras_actfn.layers.Spline",
    "reference/keras_actfn.search.ActivationSearch",
)


@pytest.fixture(scope="module")
def chromium():
    """The browser: Debian's, or the one that `playwright install chromium` fetched."""
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request, chromium):
    """A page that notes every error: in the console, of scripts, of files that are missing."""
    context = chromium.new_context(
        viewport={"width": WIDTHS[request.param], "height": 900},
        has_touch=request.param == "phone",
    )
    page = context.new_page()
    page.errors = []
    page.on("console", lambda line: line.type == "error" and page.errors.append(line.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("requestfailed", lambda request: page.errors.append(f"no {request.url}"))
    yield page
    context.close()
    assert page.errors == []


def open_page(page, path):
    page.goto(path.as_uri() if isinstance(path, Path) else (SITE / f"{path}.html").as_uri())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(page, name):
    open_page(page, name)
    assert page.locator("h1").first.is_visible()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], "the page is wider than the screen"
    page.evaluate("[...document.images].forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    broken = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []


def shown(page):
    return page.locator("#gallery tbody tr:visible")


def test_the_gallery_filters(page):
    open_page(page, "functions/index")
    everything = shown(page).count()
    assert everything > 70 and page.locator("#gallery-count").inner_text().startswith(
        str(everything)
    )
    page.fill("#gallery-text", "swish")
    names = shown(page).locator("a").all_inner_texts()
    assert "swish" in names and "hard_silu" in names and "tanh" not in names
    page.uncheck("input[value=operator]")
    assert "swish" not in shown(page).locator("a").all_inner_texts()
    page.fill("#gallery-text", "no such function")
    assert shown(page).count() == 0


def test_the_gallery_sorts(page):
    open_page(page, "functions/index")
    heading = page.locator("#gallery th", has_text="gain")
    for direction, factor in (("descending", -1), ("ascending", 1)):
        heading.click()
        assert heading.get_attribute("aria-sort") == direction
        column = page.locator("#gallery tbody tr td:nth-child(7)").all_inner_texts()
        gains = [factor * float(text) for text in column if text]
        assert gains == sorted(gains) and len(gains) > 40
        assert column[: len(gains)].count("") == 0  # rows without a gain stay at the end


def test_the_map_answers_to_the_pointer(page):
    open_page(page, "atlas")
    frame = page.frame_locator("iframe.atlas")
    point_at_the_best(page, frame, "accuracy")
    frame.locator("#map-view").select_option("heat_pinn")
    frame.locator("#map text", has_text="log₁₀").first.wait_for(timeout=5000)
    frame.locator("#map .points path").last.hover(force=True)
    frame.locator("#map-card dt", has_text="heat_pinn").wait_for(timeout=5000)


def point_at_the_best(page, frame, measure):
    """Point at the point that is drawn last, and see its card."""
    point = frame.locator("#map .points path").last
    point.scroll_into_view_if_needed()
    card = frame.locator("#map-card")
    assert "Point at a function" in card.inner_text()
    point.hover(force=True)
    card.locator("code").wait_for(timeout=5000)
    assert card.locator("svg").count() == 1 and measure in card.inner_text()
    box = card.locator("svg").bounding_box()
    assert box["width"] > 5 and box["height"] > 5


def test_the_search_finds_a_layer(page):
    open_page(page, "index")
    page.keyboard.press("Control+k")
    page.locator(
        "dialog input[type=search]:visible, .search-button__search-container input:visible"
    ).first.fill("PWL")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?*")
    page.locator("ul.search li a").first.wait_for(timeout=10000)
    links = page.locator("ul.search li a").evaluate_all("links => links.map(link => link.href)")
    assert any("keras_actfn.layers.PWL.html" in link for link in links)


def test_the_reference_of_a_layer(page):
    open_page(page, "reference/keras_actfn.layers.PWL")
    assert "class keras_actfn.layers.PWL(" in page.locator("dt.sig").first.inner_text().replace(
        "\n", ""
    )
    assert page.locator("div.formula svg").first.is_visible()
    page.locator("a", has_text="LearnableActivation").last.click()
    assert page.locator("h1").inner_text().startswith("LearnableActivation")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small search."""
    from keras_actfn import search, training
    from keras_actfn.expressions import SearchSpace

    folder = tmp_path_factory.mktemp("search")
    unary = ["relu", "tanh", "softplus", "elu"]
    space = SearchSpace(["binary(unary(x),unary(x))"], unary, ["add", "max"])
    inputs = points(32, 1)[0]
    task = training.Task(build, inputs, objective=distance_to_softplus, mode="max")
    found = search.ActivationSearch(task, space, embedding="pca", storage=folder / "s.db")
    found.probe(8)
    found.run(10)
    return found.report(folder / "report.html")


def test_the_gallery_shows_the_results_on_a_task(page):
    open_page(page, "functions/index")
    relu = page.locator('#gallery tr:has(a[href="relu.html"]) td').last
    first = relu.inner_text()
    page.select_option("#gallery-task", "digits_mlp")
    assert relu.inner_text() != first and 0 < float(relu.inner_text()) < 1
    page.locator("#gallery th", has_text="result").click()
    column = page.locator("#gallery tbody tr td:last-child").all_inner_texts()
    values = [float(text) for text in column if text not in ("", "diverged")]
    assert values == sorted(values, reverse=True) and len(values) > 15


def test_a_link_chooses_the_task_of_the_map(page):
    page.goto((SITE / "_static" / "atlas_map.html").as_uri() + "#image_inr")
    assert page.locator("#map-view").input_value() == "image_inr"
    page.locator("#map text", has_text="PSNR").first.wait_for(timeout=5000)


def test_formulas_with_cases_keep_their_size(page):
    open_page(page, "reference/keras_actfn.layers.Spline")
    heights = page.locator("div.definition .cases svg").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().height)"
    )
    assert len(heights) == 6 and min(heights) > 8


def test_the_report_of_a_search(page, report):
    text = report.read_text(encoding="utf-8")
    assert not re.search(r'<(?:script|img|iframe|link)[^>]*\s(?:src|href)="(?!data:|#)', text)
    open_page(page, report)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
    rows = page.locator("table.evaluations tbody tr")
    assert rows.count() == 10
    for row in rows.all():
        box = row.locator("svg").bounding_box()
        assert box["width"] > 5 and box["height"] > 5, "a formula is not drawn"
    values = page.locator("table.evaluations tbody td:nth-child(3)")
    assert values.all_inner_texts() == sorted(values.all_inner_texts(), key=float, reverse=True)
    page.locator("table.evaluations th", has_text="eval.").click()
    orders = page.locator("table.evaluations tbody td:nth-child(4)").all_inner_texts()
    assert [int(order) for order in orders] == list(range(10, 0, -1))
    page.locator("table.evaluations th", has_text="function").click()
    texts = page.locator("table.evaluations tbody code").all_inner_texts()
    assert texts == sorted(texts)
    point_at_the_best(page, page, "evaluation")
