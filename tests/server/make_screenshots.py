"""Makes `docs/screenshots/` anew, from made-up articles: `python tests/server/make_screenshots.py MODEL`."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_browser import CHROMIUM, QUIET
from web_world import chatting, make_app, make_web_index, serving

from pubvec.retrieval.searcher import Searcher

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
QUERY = "does+aspirin+prevent+recurrent+stroke"
DESKTOP, PHONE = {"width": 1200, "height": 860}, {"width": 390, "height": 844}
SHOTS = {
    "start": ("/", DESKTOP, "light"),
    "search": (f"/?q={QUERY}", DESKTOP, "light"),
    "search-dark": (
        f"/?q={QUERY}&from=1990&publication_type=Review&publication_type=Meta-Analysis",
        DESKTOP,
        "dark",
    ),
    "search-phone": (f"/?q={QUERY}", PHONE, "light"),
    "answer": (f"/?q={QUERY}&answer=true", DESKTOP, "light"),
    "map": (f"/map?q={QUERY}", DESKTOP, "light"),
    "map-dark-phone": (f"/map?q={QUERY}", PHONE, "dark"),
    "article": ("/articles/9005", DESKTOP, "light"),
    "article-dark-phone": ("/articles/9005", PHONE, "dark"),
    "error": ("/?q=aspirin[ti]+AND&mesh=Stroke", DESKTOP, "light"),
    "empty": ("/?q=aspirin[ti]+AND+malaria[ti]", DESKTOP, "light"),
    "start-phone": ("/", PHONE, "light"),
    "about": ("/about", DESKTOP, "light"),
}
N_COLORS = 96


def save(page: Page, path: Path) -> None:
    """Save what is seen with few colors: a third of the bytes."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(N_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(model: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        searcher = Searcher(make_web_index(Path(folder), model, n=600))
        hits = searcher.search(QUERY.replace("+", " "), 9)
        first, second = [hit.pmid for hit in hits if not hit.badges][:2]
        reply = (
            f"In the imaginary cohorts, aspirin went with fewer recurrent strokes [PMID {first}] [PMID {second}]. "
            f"None of these invented studies was randomized by more than a dice [PMID {second}]."
        )
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        with chatting(reply) as chat, serving(make_app(searcher, chat)) as address:
            for name, (path, size, scheme) in SHOTS.items():
                options: dict[str, Any] = {"viewport": size, "color_scheme": scheme}
                page = browser.new_page(**options)
                page.goto(address + path)
                page.wait_for_timeout(300)
                save(page, FOLDER / f"{name}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
