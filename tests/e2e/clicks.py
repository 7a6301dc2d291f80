"""Counts the clicks that a job takes."""

import re

from playwright.sync_api import Locator, Page


class Clicks:
    """Counts the clicks of a person; choosing from a list is one, typing into the field where one is is none."""

    def __init__(self, page: Page) -> None:
        self.page, self.number = page, 0

    def on(self, what: Locator) -> None:
        self.number += 1
        what.click()
        self.page.wait_for_load_state("networkidle")

    def choose(self, label: str, option: str) -> None:
        self.number += 1
        self.page.get_by_label(label, exact=True).select_option(label=option)

    def on_link(self, name: str, *, exact: bool = True) -> None:
        """Click the first link of this name."""
        self.on(self.page.get_by_role("link", name=name if exact else re.compile(name), exact=exact).first)

    def on_sidebar(self, title: str) -> None:
        """Click an entry of the sidebar; its icon is a part of the link's text."""
        self.on(self.page.locator("#nav-sidebar-apps a").filter(has_text=re.compile(rf"{title}\s*$")).first)

    def on_button(self, name: str) -> None:
        """Click the button of this name; a dialog has another of the same name, which is the last."""
        self.on(self.page.get_by_role("button", name=name, exact=True).last)
