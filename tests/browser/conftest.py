"""A headless Chromium, and a report that is opened in it from a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comparisons.report import Report

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


# Of a module, not of the session: playwright's event loop runs in this thread until it is closed,
# and what another test would run with asyncio could not start.
@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).is_file():
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report() -> Report:
    """Eighteen cases with all nine verdicts, two curves and eight histograms."""
    return Report.load(ROOT / "tests" / "comparisons" / "report" / "sample.json")


@pytest.fixture(scope="session")
def address(report, tmp_path_factory) -> str:
    """The report's page as a file address; the path has a space and is not ASCII."""
    path = tmp_path_factory.mktemp("a réport") / "index.html"
    report.save(path)
    return path.as_uri()


@pytest.fixture
def open_page(browser, address):
    """Opens the report with the options of a browser context; fails if the page complained."""
    contexts, complaints, requests = [], [], []

    def open_with(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert complaints == []
    # The empty icon is part of the page; everything else would be a file or the network.
    assert set(requests) - {"data:,"} == {address}


@pytest.fixture(scope="session")
def screenshots() -> Path:
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
