"""The pages in a real Chromium: with and without JavaScript, by keyboard, on a phone, and by axe's rules.

Skipped where no browser is installed. Debian: `apt-get install chromium`.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from web_world import HOSTILE_PMID, WHOLE_PMID, chatting, make_app, make_web_index, serving

from pubvec.retrieval.searcher import Searcher

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (set CHROMIUM to its path)"
)

QUERY = "aspirin+after+stroke"
CHECKED = {
    (1280, "light"): (
        "/",
        f"/?q={QUERY}&publication_type=Review&from=1990&n=10",
        f"/?q={QUERY}&answer=true",
        f"/map?q={QUERY}",
        f"/articles/{WHOLE_PMID}",
        "/?q=aspirin[ti]+AND",
        "/saved",
    ),
    (1280, "dark"): ("/?like=1000", f"/articles/{WHOLE_PMID}", "/about"),
    (390, "light"): (f"/?q={QUERY}&n=3", f"/?q={QUERY}&offset=500"),
}
"""Pages that axe looks at, by the width and the color scheme. A page takes it seconds."""
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Page = Any
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Searcher:
    return Searcher(make_web_index(tmp_path_factory.mktemp("browser"), tiny_model))


@pytest.fixture(scope="module")
def address(searcher: Searcher) -> Iterator[str]:
    cited = next(hit.pmid for hit in searcher.search("aspirin after stroke", 10)[4:] if not hit.is_retracted)
    with (
        chatting("It does [PMID ", f"{cited}] <i>perhaps</i>.") as chat,
        serving(make_app(searcher, chat)) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[OpenPage]:
    """Opens a path; at the end nothing may have been blocked or have failed on any page."""
    contexts, flaws = [], []

    def open_path(path: str, *, expected: str = "", **options: Any) -> Page:
        def is_flaw(message: Any) -> bool:
            return message.type == "error" and not (expected and expected in message.text)

        context = browser.new_context(base_url=address, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: flaws.append(str(error)))
        page.on("console", lambda message: flaws.append(message.text) if is_flaw(message) else None)
        page.goto(path)
        return page

    yield open_path
    for context in contexts:
        context.close()
    assert not flaws


def hits_of(page: Page) -> list[str]:
    return [item.get_attribute("id") for item in page.locator("ol.hits > li").all()]


def parameters_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize("has_script", [True, False])
def test_search_filter_page_and_back(open_page: OpenPage, has_script: bool) -> None:
    page = open_page("/", java_script_enabled=has_script)
    page.get_by_role("searchbox").fill("aspirin after stroke")
    page.get_by_role("button", name="Search").click()
    page.locator("ol.hits").wait_for()
    assert parameters_of(page)["q"] == ["aspirin after stroke"]
    first = hits_of(page)
    assert len(first) == 10

    page.get_by_role("checkbox", name="Review").check()
    if not has_script:
        page.get_by_role("button", name="Apply filters").click()
    page.get_by_role("link", name="Remove filter: Review").wait_for()
    assert parameters_of(page)["publication_type"] == ["Review"]
    assert page.locator("ol.hits > li", has=page.locator(".design", has_text="Review")).count() == 10
    reviews = hits_of(page)

    page.get_by_role("link", name="Next →").click()
    page.get_by_text("Page 2").wait_for()
    assert parameters_of(page)["offset"] == ["10"]
    assert not set(hits_of(page)) & set(reviews)

    page.go_back()
    page.get_by_text("Page 1").wait_for()
    assert hits_of(page) == reviews
    page.get_by_role("link", name="Remove filter: Review").click()
    page.locator(".chips").wait_for(state="detached")
    assert hits_of(page) == first


def test_what_is_chosen_at_once_is_announced_and_kept_short(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}")
    page.get_by_role("link", name="Newest").click()
    page.get_by_text("newest first").wait_for()
    assert parameters_of(page) == {"q": ["aspirin after stroke"], "sort": ["year"]}
    page.get_by_role("checkbox", name="not retracted").check()
    page.get_by_role("link", name="Remove filter: not retracted").wait_for()
    assert parameters_of(page)["sort"] == ["year"]
    assert page.get_by_role("checkbox", name="not retracted").evaluate(
        "box => box === document.activeElement"
    )
    assert "that meet all conditions" in page.get_by_role("status").first.inner_text()
    assert "newest" not in page.title()


@pytest.mark.parametrize("has_script", [True, False])
def test_values_that_are_ticked_and_typed_add_up(open_page: OpenPage, has_script: bool) -> None:
    page = open_page(f"/?q={QUERY}", java_script_enabled=has_script)
    page.get_by_label("Filters").get_by_role("checkbox", name="Aspirin").check()
    if has_script:
        page.get_by_role("link", name="Remove filter: Aspirin").wait_for()
    page.get_by_role("combobox", name="Another heading").fill("Stroke")
    page.get_by_role("combobox", name="Another heading").press("Enter")
    page.get_by_role("link", name="Remove filter: Stroke").wait_for()
    assert page.get_by_role("link", name="Remove filter: Aspirin").is_visible()
    assert [value for value in parameters_of(page)["mesh"] if value] == ["Aspirin", "Stroke"]
    page.get_by_role("link", name="1990–1999").click()
    page.get_by_role("link", name="Remove filter: 1990–1999").wait_for()
    assert page.get_by_role("spinbutton", name="from").input_value() == "1990"


def exported(page: Page, button: Any) -> list[str]:
    with page.expect_download() as download:
        button.click()
    return list(download.value.path().read_text("utf-8-sig").splitlines())


def test_long_lists_are_narrowed_and_values_suggested(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}&n=1")
    more = page.locator("fieldset", has_text="MeSH heading").locator("details.more")
    more.locator("summary").click()
    n_all = more.locator("li:visible").count()
    more.get_by_role("searchbox").fill("tension")
    page.wait_for_function(
        "n => document.querySelectorAll('.more[open] li:not([hidden])').length < n", arg=n_all
    )
    assert all("tension" in text.lower() for text in more.locator("li:visible").all_inner_texts())
    page.get_by_role("combobox", name="Name, as Smith J").press_sequentially("dunm")
    page.wait_for_function("() => document.querySelector('#author-list option')?.value === 'Dunmore AB'")
    page.locator("#author-other").fill("")  # a value that is typed would apply with the next click
    page.get_by_role("link", name="Randomized trials").click()
    page.get_by_role("link", name="Remove filter: Randomized trials").wait_for()
    assert parameters_of(page)["quick"] == ["rct"]


@pytest.mark.parametrize("has_script", [True, False])
def test_a_selection_is_exported(open_page: OpenPage, has_script: bool) -> None:
    page = open_page(f"/?q={QUERY}", java_script_enabled=has_script)
    boxes = page.locator("ol.hits input[type=checkbox]")
    for number in (1, 4):
        boxes.nth(number).check()
    chosen = {boxes.nth(number).get_attribute("value") for number in (1, 4)}
    page.locator("summary", has_text="Export").click()
    rows = csv.DictReader(exported(page, page.get_by_role("button", name="CSV")))
    assert {row["pmid"] for row in rows} == chosen
    assert set(exported(page, page.get_by_role("button", name="PMIDs"))) == chosen


def test_a_selection_outlives_paging_and_back(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}")
    boxes = page.locator("ol.hits input[type=checkbox]")
    bar = page.locator("#picked")
    assert not bar.is_visible()
    boxes.nth(2).check()
    chosen = {boxes.nth(2).get_attribute("value")}
    page.get_by_role("link", name="Next →").click()
    page.get_by_text("Page 2").wait_for()
    assert not boxes.nth(2).is_checked()
    for number in (0, 1):
        boxes.nth(number).check()
        chosen.add(boxes.nth(number).get_attribute("value"))
    assert bar.inner_text().startswith("3 selected")
    page.go_back()
    page.get_by_text("Page 1").wait_for()
    page.wait_for_function("document.querySelectorAll('ol.hits input:checked').length === 1")
    assert boxes.nth(2).is_checked()
    page.reload()
    assert bar.inner_text().startswith("3 selected")
    bar.get_by_label("Format").select_option("PMIDs")
    assert set(exported(page, bar.get_by_role("button", name="Export"))) == chosen
    page.locator("summary", has_text="Export").click()
    assert set(exported(page, page.locator("#export").get_by_role("button", name="PMIDs"))) == chosen
    bar.get_by_role("link", name="Show").click()
    page.locator("ol.hits").wait_for()
    assert {hit.removeprefix("hit-") for hit in hits_of(page)} == chosen
    bar.get_by_role("button", name="Clear").click()
    assert not bar.is_visible()
    assert page.locator("ol.hits input:checked").count() == 0


def test_select_all_and_export_the_best(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}")
    page.locator("summary", has_text="Export").click()
    form = page.locator("#export")
    page.get_by_label("Select all").check()
    assert exported(page, form.get_by_role("button", name="RIS")).count("TY  - JOUR") == 10
    page.get_by_label("Select all").uncheck()
    page.get_by_role("spinbutton", name="Export the selected").fill("30")
    assert len(exported(page, form.get_by_role("button", name="JSON Lines"))) == 30


def test_searches_are_saved_and_remembered_in_the_browser_alone(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}&publication_type=Review")
    page.locator("summary", has_text="Options").click()
    page.get_by_role("link", name="Save this search").click()
    page.get_by_role("link", name="See all").click()
    saved = page.locator("#saved-list")
    saved.get_by_role("link", name="aspirin after stroke").wait_for()
    feed = saved.get_by_role("link", name="RSS").get_attribute("href")
    assert "publication_type=Review" in feed
    assert page.request.get(feed).text().count("<item>") > 1
    assert page.locator("#history-list li").count() == 1
    page.get_by_role("button", name="Forget").click()
    assert page.locator("#history-list").inner_text() == "No search yet."
    saved.get_by_role("link", name="aspirin after stroke").click()
    page.get_by_role("link", name="Remove filter: Review").wait_for()
    page.goto("/")
    assert page.locator("#recent a").inner_text() == "aspirin after stroke"
    page.goto("/saved")
    saved.get_by_role("button", name="Remove").click()
    assert "No search is saved" in saved.inner_text()


def press_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press `key` until what has the focus is called `name`."""
    for _ in range(120):
        page.keyboard.press(key)
        said = page.evaluate(
            "() => { const e = document.activeElement;"
            " return e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.value || e.innerText || ''; }"
        )
        if name in said:
            return
    raise AssertionError(f"{key} never reaches {name!r}")


def test_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    focus = "document.activeElement"
    assert page.evaluate(f"{focus}.id") == "q"
    page.keyboard.type("aspirin after stroke")
    page.keyboard.press("Enter")
    page.locator("ol.hits").wait_for()
    page.goto(page.url)
    for _ in range(5):
        page.keyboard.press("Tab")
    first = hits_of(page)[0]
    assert page.evaluate(f"{focus}.closest('.hit')?.id") == first
    page.goto(page.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focus}.id") == "results"
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.evaluate(f"{focus}.closest('.hit').id") == hits_of(page)[place]
    page.keyboard.press("x")
    assert page.locator("ol.hits input:checked").count() == 1
    page.keyboard.press("?")
    assert page.get_by_text("What a query may hold").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_text("What a query may hold").is_visible()
    page.keyboard.press("/")
    assert page.evaluate(f"{focus}.id") == "q"
    press_to(page, "Abstract")
    page.keyboard.press("Enter")
    assert page.locator("ol.hits details[open]").count() == 1
    press_to(page, "Similar articles")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Similar to").wait_for()
    page.wait_for_function("document.activeElement.id === 'results'")
    press_to(page, "Review")
    page.keyboard.press("Space")
    page.get_by_role("link", name="Remove filter: Review").wait_for()


def test_an_article_and_the_way_back(open_page: OpenPage) -> None:
    for has_script in (True, False):
        page = open_page(f"/?q={QUERY}", java_script_enabled=has_script)
        link = page.locator("ol.hits h2 a").first
        title = link.inner_text()
        link.click()
        page.locator(".article").wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == title
        assert urlsplit(page.url).path.startswith("/articles/")
        page.get_by_role("link", name="More similar articles").click()
        page.get_by_role("heading", level=1, name="Similar to").get_by_role("link").click()
        page.locator(".article").wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == title
    page = open_page(f"/articles/{WHOLE_PMID}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the reference in AMA").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("Roe RT, Doe J")
    with page.expect_download() as download:
        page.get_by_role("link", name="RIS").click()
    assert download.value.suggested_filename == f"pmid{WHOLE_PMID}.ris"


def test_on_paper_the_list_is_readable(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}", viewport={"width": 700, "height": 900})
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    hit = page.locator(".hit", has=page.locator(".abstract")).first
    assert hit.locator(".abstract").first.is_visible()
    assert hit.locator("h2").bounding_box()["width"] > 500
    for hidden in (".search", ".controls", "aside", ".pick", ".ways", "footer", ".links"):
        assert not page.locator(hidden).first.is_visible(), hidden
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.whole[open]").count() == 0


def test_an_error_leads_back(open_page: OpenPage) -> None:
    page = open_page("/?q=aspirin[ti]+AND&mesh=Stroke", expected="400")
    assert page.locator(".fault .at").inner_text() == "A"
    page.get_by_role("link", name="Search as plain words").click()
    page.get_by_role("link", name="Remove filter: Stroke").wait_for()
    assert parameters_of(page) == {"q": ["aspirin"], "mesh": ["Stroke"]}


def test_the_answer_is_written_as_it_comes_and_its_footnote_jumps(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}")
    page.get_by_role("link", name="Answer from the hits").click()
    page.get_by_text("Written by a language model").wait_for()
    assert page.locator(".words").inner_text() == "It does 1 <i>perhaps</i>."
    assert "answer" not in parameters_of(page)
    note = page.get_by_role("link", name="Source 1")
    title = page.locator(".sources li a").inner_text()
    assert note.get_attribute("title").startswith(title)
    note.click()
    assert urlsplit(page.url).fragment == page.locator("ol.hits > li:target").get_attribute("id")
    assert page.locator("ol.hits > li:target").count() == 1


def test_the_answer_without_script(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}", java_script_enabled=False)
    page.get_by_role("link", name="Answer from the hits").click()
    page.get_by_text("Written by a language model").wait_for()
    page.get_by_role("link", name="Source 1").click()
    assert page.locator("ol.hits > li:target").count() == 1


def test_markup_in_titles_is_shown_and_not_run(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}&pmid={HOSTILE_PMID}")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    assert page.locator(f"#title-{HOSTILE_PMID}").inner_text().startswith('<script>alert("title")</script>')
    assert page.locator("ol.hits script, ol.hits img").count() == 0


def test_on_a_phone_nothing_runs_off_the_page(open_page: OpenPage) -> None:
    for path in ("/", f"/?q={QUERY}", f"/map?q={QUERY}", "/about", "/saved", f"/articles/{WHOLE_PMID}"):
        page = open_page(path, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    page = open_page(f"/?q={QUERY}", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    box = page.get_by_role("checkbox", name="Review")
    assert not box.is_visible()
    for path in (f"/?q={QUERY}", f"/?q={QUERY}&mesh=Stroke"):
        page.goto(path)
        assert page.locator(".hit").first.bounding_box()["y"] < 400
    page.locator("summary", has_text="Filters").tap()
    box.check()
    page.get_by_role("link", name="Remove filter: Review").wait_for()
    assert not box.is_visible()
    assert page.locator(".hit").first.bounding_box()["y"] < 400


def test_the_map_is_drawn_zoomed_and_pointed_at(open_page: OpenPage) -> None:
    page = open_page(f"/map?q={QUERY}")
    canvas = page.locator("#map")
    ink = (
        "canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " let sum = 0; for (let i = 3; i < d.length; i += 4) sum += d[i] > 0; return sum; }"
    )
    page.wait_for_function(f"({ink})(document.getElementById('map')) > 500")
    whole = canvas.evaluate("canvas => canvas.toDataURL()")
    box = canvas.bounding_box()
    tip = page.locator("#tip")
    for step in range(40 * 40):
        page.mouse.move(
            box["x"] + (step % 40 + 0.5) * box["width"] / 40,
            box["y"] + (step // 40 + 0.5) * box["height"] / 40,
        )
        if tip.is_visible():
            break
    titles = page.locator(".place a").all_text_contents()
    assert any(tip.inner_text().startswith(title) for title in titles)
    page.mouse.move(box["x"] - 5, box["y"] - 5)
    page.get_by_role("button", name="Zoom in").click()
    assert canvas.evaluate("canvas => canvas.toDataURL()") != whole
    canvas.focus()
    page.keyboard.press("0")
    assert canvas.evaluate("canvas => canvas.toDataURL()") == whole
    page.keyboard.press("ArrowLeft")
    assert canvas.evaluate("canvas => canvas.toDataURL()") != whole


def test_a_group_of_the_map_filters_and_is_selected_and_exported(open_page: OpenPage) -> None:
    page = open_page(f"/map?q={QUERY}")
    canvas = page.locator("#map[data-drawn]")
    whole = canvas.evaluate("canvas => canvas.toDataURL()")
    group = page.locator("details.group").first
    n = int(group.locator(".count").text_content().split()[0])
    group.locator("summary").click()
    page.wait_for_function("before => document.getElementById('map').toDataURL() !== before", arg=whole)
    group.get_by_role("button", name="Select all").click()
    assert page.locator("#picked").inner_text().startswith(f"{n} selected")
    assert len(exported(page, group.get_by_role("button", name="PMIDs"))) == n
    assert group.locator(".place a").first.get_attribute("href").startswith("/articles/")
    group.get_by_role("link", name="Show as results").click()
    page.locator("ol.hits").wait_for()
    assert f" of {n} article" in page.locator(".count-line").inner_text()


def test_the_map_without_script_is_a_list(open_page: OpenPage) -> None:
    page = open_page(f"/map?q={QUERY}", java_script_enabled=False)
    assert not page.locator("#map").is_visible()
    page.locator("details.group summary").first.click()
    assert page.locator(".place a").first.is_visible()


def test_the_map_is_drawn_when_it_is_reached_by_a_link(open_page: OpenPage) -> None:
    page = open_page(f"/?q={QUERY}")
    page.get_by_role("link", name="Map of the field", exact=True).click()
    page.locator("#map[data-drawn]").wait_for()
    page.get_by_role("link", name="Back to the list").click()
    page.locator("ol.hits").wait_for()


@pytest.mark.parametrize(("width", "scheme"), CHECKED)
def test_axe_finds_nothing(open_page: OpenPage, width: int, scheme: str) -> None:
    """WCAG 2.2 A and AA, as far as rules can tell."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page = open_page(
        "/", viewport={"width": width, "height": 900}, color_scheme=scheme, expected="status of 400"
    )
    for path in CHECKED[width, scheme]:
        page.goto(path)
        for summary in page.locator("summary:visible").all()[:3]:
            summary.evaluate("summary => { summary.parentElement.open = true; }")
        results = axe.Axe().run(page, options=WCAG)
        assert results.violations_count == 0, f"{path}: {results.generate_report()}"
