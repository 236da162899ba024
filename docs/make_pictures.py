"""Makes docs/report.png, the README's picture, from the report that `make report` wrote.

Run it from anywhere, after `make report`, with the `test` extra installed:

    python docs/make_pictures.py [report.html [picture.png]]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
VIEW = {"width": 1280, "height": 960}


def take_picture(report: Path, picture: Path) -> None:
    """Takes the picture of the case with curves if there is one, otherwise of the page's top.

    Args:
        report: An HTML report.
        picture: The PNG file to write.

    Raises:
        FileNotFoundError: If the report or the browser is not there.
    """
    if not report.is_file():
        raise FileNotFoundError(f"{report} is not there: run `make report` first.")
    if not Path(CHROMIUM).is_file():
        raise FileNotFoundError(f"No browser at {CHROMIUM}: set CHROMIUM to one's path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        # Twice the pixels, so that text is sharp where the picture is shown smaller.
        page = browser.new_page(viewport=VIEW, device_scale_factor=2, color_scheme="light")
        page.goto(report.resolve().as_uri())
        curves = page.locator("section.case:has(.curves)")
        if curves.count():
            curves.first.evaluate("section => section.scrollIntoView()")
        page.screenshot(path=picture)
        browser.close()


def main() -> None:
    """Takes the picture, or says in one line what is missing."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    defaults = [ROOT / "build" / "report" / "index.html", ROOT / "docs" / "report.png"]
    try:
        take_picture(*[*paths, *defaults[len(paths) :]][:2])
    except FileNotFoundError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
