"""Which pages there are, found as a person finds them: the sidebar, the first record of each list, what that links to."""

from urllib.parse import urlsplit

from playwright.sync_api import Page

# Pages that no list leads to; the last is the one that there is not.
ALSO = (
    "/admin/account/", "/admin/account/second-factor/", "/admin/password_change/", "/admin/servers/",
    "/admin/search/?s=Newsletter", "/admin/ippools/ipaddress/import/", "/admin/customers/new/", "/admin/usage/",
    "/admin/refused/", "/nowhere/",
)  # fmt: skip
# Links that are acts, not pages.
NOT_PAGES = ("logout", "jsi18n", "export", "login", "/r/", "javascript:")


def found_from(page: Page) -> list[str]:
    """Return the paths of the front page, every list, and for each list its first record with its history and dialogs."""
    paths = ["/admin/"]
    lists = [path for path in _links(page, "#nav-sidebar-apps a") if path != "/admin/"]
    for path in lists:
        _add(paths, path)
        page.goto(path)
        _add(paths, *_links(page, "a[href$='/add/']")[:1])
        records = _links(page, "#result_list a[href*='/change/'], table a[href*='/change/']")
        own = [each for each in records if each.startswith(path)]
        if own:
            _add(paths, own[0])
            page.goto(own[0])
            beside = [each for each in _links(page, "#main a") if each.startswith(path) and _is_beside(each, own[0])]
            _add(paths, *beside[:12])
            if page.locator("a[href$='/delete/']").count():
                _add(paths, own[0].replace("/change/", "/delete/"))
            if path == "/admin/ippools/ipaddress/":
                _add(paths, own[0].replace("/change/", "/limits/") + "?domain=gmail.com")
    _add(paths, *ALSO)
    return paths


def _is_beside(path: str, record: str) -> bool:
    """Whether it is another page of the same record, such as its history or a dialog."""
    key = record.rstrip("/").split("/")[-2]
    return path != record and f"/{key}/" in path


def _links(page: Page, selector: str) -> list[str]:
    hrefs = page.eval_on_selector_all(selector, "all => all.map(each => each.href)")
    paths = [urlsplit(href).path for href in hrefs if href and not any(word in href for word in NOT_PAGES)]
    return list(dict.fromkeys(path for path in paths if path.startswith("/admin/") and path.endswith("/")))


def _add(paths: list[str], *more: str) -> None:
    paths.extend(path for path in more if path not in paths)
