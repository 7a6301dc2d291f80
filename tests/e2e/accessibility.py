"""axe-core on a page, as a list of what is serious."""

from importlib.resources import files

from playwright.sync_api import Page

SERIOUS = ("serious", "critical")
# unfold's own markup, which Sluice does not override; each is listed with what it is.
OF_THE_THEME: dict[str, str] = {}


def violations(page: Page, *, include: str | None = None) -> list[str]:
    """Return each serious or critical finding of axe-core: rule, number of places, and the first place."""
    # Evaluated by the browser's own tools, which the page's security policy does not bind.
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = page.evaluate("include => axe.run(include || document, {resultTypes: ['violations']})", include)
    return [
        f"{rule['id']} ({rule['impact']}) at {len(rule['nodes'])}: {rule['nodes'][0]['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS and rule["id"] not in OF_THE_THEME
    ]
