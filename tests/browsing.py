"""What tests of pages share."""

from collections.abc import Callable


def watched(page):
    """A new page of a browser, from now on with what it asked for and complained of."""
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    return page


def wait_for(page, condition: Callable[[], bool], seconds: float = 10) -> None:
    """Playwright's own way to wait evaluates text, which the pages forbid."""
    for _ in range(round(10 * seconds)):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"waited for {seconds} seconds in vain")
