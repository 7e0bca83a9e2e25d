"""A real browser for tests of pages: Debian's chromium, driven by playwright.

One rule: no browser is downloaded, and what a page asks of the network is seen, not guessed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

MISSING = "NO CHROMIUM HERE, no page is looked at in this run: apt-get install --no-install-recommends chromium"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INSTALLED = CHROMIUM is not None
needs_browser = pytest.mark.browser  # skipped by tests/conftest.py where it is missing

BLANKS = """() => [...document.querySelectorAll('main dt')].map(term => {
  const path = [];
  for (let at = term.closest('section'); at; at = at.parentElement.closest('section'))
    path.unshift(at.querySelector(':is(h2, h3, h4, h5, h6)').innerText);
  const value = term.nextElementSibling;
  return {path, label: term.innerText, value: value.querySelector('.value').innerText,
          records: [...value.querySelectorAll('a.record')].map(link => link.href)};
})"""
"""Every term of a page's lists of answers, with the headings that lead to it and what is seen beside it."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def page(of: Browser, address: str, *, width: int = 1280, height: int = 900) -> Iterator[tuple[Page, list[str]]]:
    """The page at an address, and everything it asked the network for or complained about."""
    heard: list[str] = []
    with of.new_page(viewport={"width": width, "height": height}) as found:
        found.on("request", lambda request: heard.append(request.url))
        found.on("console", lambda message: heard.append(message.text))
        found.on("pageerror", lambda error: heard.append(str(error)))
        found.goto(address)
        yield found, heard
