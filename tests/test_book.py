"""The book: built once, walked link by link, and opened in a browser from its files."""

import csv
import doctest
import importlib
import pkgutil
import re
import shutil
from collections import defaultdict
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import book

NEEDED = ("sphinx", "myst_nb", "furo", "sphinx_design")
ABSENT = [name for name in NEEDED if not find_spec(name)]
needs_sphinx = pytest.mark.skipif(bool(ABSENT), reason=f"requirements-book.txt is not installed: {', '.join(ABSENT)}")
LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
LOADING_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "preconnect", "dns-prefetch"}


class Page(HTMLParser):
    """The ids, links and loaded files of a page of HTML."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in LOADING and values.get(LOADING[tag]):
            self.loaded.append(values[LOADING[tag]])
        if tag == "link" and LOADING_RELATIONS & set((values.get("rel") or "").split()):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    from book.build import build

    return build(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def pages(html) -> dict[Path, Page]:
    return {path: Page(path) for path in html.rglob("*.html")}


@needs_sphinx
def test_every_link_and_anchor_exists(html, pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            exists = target.is_file() and target.is_relative_to(html)
            if exists and parts.fragment and target in pages:
                exists = unquote(parts.fragment) in pages[target].ids
            if not exists:
                broken.append(f"{path.relative_to(html)}: {link}")
    assert not broken, broken[:20]
    assert sum(len(page.links) for page in pages.values()) > 5000


@needs_sphinx
def test_nothing_is_loaded_from_another_host(html, pages):
    for path, page in pages.items():
        assert not [link for link in page.loaded if urlsplit(link).scheme not in ("", "data")], path
        assert not [link for link in page.loaded if urlsplit(link).netloc], path
    for sheet in html.rglob("*.css"):
        urls = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s;]+)", sheet.read_text(encoding="utf-8"))
        assert not [url for url in urls if re.match(r"(https?:)?//", url)], sheet


@needs_sphinx
def test_every_claim_leads_to_its_table_cell_and_line(html, pages):
    with Path("figures/findings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 50
    for row in rows:
        page = pages[html / "claims" / f"{row['notebook']}.html"]
        _, _, section = page.text.partition(
            f'id="claim-{row["notebook"].replace("_", "-")}-{row["claim"].replace("_", "-")}"'
        )
        section = section.partition("</section>")[0]
        assert f'class="verdict {row["verdict"]}"' in section, row
        assert re.search(r'href="\.\./notebooks/\w+\.html#[\w-]+"', section), row
        assert re.search(r'href="\.\./source/lib/[\w/]+\.py\.html#L-\d+"', section), row
        assert re.search(r'download="" href="\.\./_downloads/\w+/\w+\.csv"', section), row


@needs_sphinx
def test_every_statement_of_the_paper_has_a_verdict_and_a_line(html, pages):
    with Path("book/paper_map.csv").open(encoding="utf-8", newline="") as file:
        statements = [row["statement"] for row in csv.DictReader(file)]
    rows = re.findall(r"<tr.*?</tr>", pages[html / "paper.html"].text, re.DOTALL)
    rows = [row for row in rows if "<td" in row]
    assert len(rows) == len(statements) > 10
    for row in rows:
        assert re.search(r'class="verdict (holds|undecided|refuted)"', row) and "#L-" in row, row


@needs_sphinx
def test_every_number_of_the_landing_page_leads_to_its_claim(html, pages):
    numbers = re.findall(r"<!-- (\w+)/\w+\.csv: claim=(\w+)", Path("README.md").read_text(encoding="utf-8"))
    links = " ".join(pages[html / "index.html"].links)
    for notebook, claim in numbers:
        assert f"claims/{notebook}.html#claim-{notebook}-{claim}".replace("_", "-") in links.replace("_", "-")


@needs_sphinx
def test_code_is_folded_and_formulas_are_drawn(html, pages):
    text = pages[html / "notebooks" / "02_visual_shift_probe.html"].text
    code = re.findall(r'<div class="cell_input.*?">', text)
    assert len(code) == text.count("<details") > 10
    assert ">Parameters</p>" in text and "<math " in text and "MathJax" not in text and r"\frac" not in text


@needs_sphinx
@pytest.mark.parametrize("name", [module.name for module in pkgutil.walk_packages(book.__path__, "book.")])
def test_examples(name):
    if name != "book.conf":  # which Sphinx runs
        assert doctest.testmod(importlib.import_module(name)).failed == 0


# ---------------------------------------------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        except api.Error:
            pytest.skip("there is no chromium")
        yield opened
        opened.close()


@pytest.fixture
def tab(browser):
    """A page that collects console errors and requests to anything but files."""
    page = browser.new_context().new_page()
    page.trouble = defaultdict(list)
    page.on("console", lambda message: message.type == "error" and page.trouble["console"].append(message.text))
    page.on("pageerror", lambda error: page.trouble["errors"].append(str(error)))
    page.on(
        "request",
        lambda request: (
            urlsplit(request.url).scheme in ("file", "data", "blob") or page.trouble["requests"].append(request.url)
        ),
    )
    yield page
    page.context.close()


SHOWN = ["index.html", "paper.html", "notebooks/02_visual_shift_probe.html", "api/clip360.stats.signed_rank.html"]


@needs_sphinx
def test_the_search_finds_a_word_from_a_file(html, tab):
    tab.goto((html / "search.html").as_uri() + "?q=canonical")
    tab.wait_for_selector("#search-results li a")
    found = [link.get_attribute("href") for link in tab.query_selector_all("#search-results li a")]
    assert any("07_adaptation_methods" in link or "glossary" in link for link in found)
    tab.goto((html / "search.html").as_uri() + "?q=stability_bound")
    tab.wait_for_selector("#search-results li a")
    assert "clip360.stats.visual_probe.stability_bound" in tab.inner_html("#search-results")
    assert not tab.trouble


@needs_sphinx
@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_and_asks_no_host(html, tab, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    tab.emulate_media(color_scheme=scheme)
    tab.goto((html / name).as_uri())
    tab.wait_for_load_state("networkidle")
    assert not tab.trouble
    found = axe.Axe().run(tab, options={"preload": False}).response["violations"]  # axe would load style sheets again
    serious = [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")]
    assert not serious


@needs_sphinx
@pytest.mark.parametrize("name", SHOWN)
def test_a_page_fits_a_phone(html, tab, name):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto((html / name).as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
