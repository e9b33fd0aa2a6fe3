"""Helpers of the tests of pages."""

from collections.abc import Callable


def watched(page):
    """Record the URLs that a page requests from now on, and its console messages and errors."""
    page.urls, page.messages = [], []
    page.on("request", lambda request: page.urls.append(request.url))
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    return page


def wait_for(page, condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition. Playwright's own function evaluates text, which the pages forbid."""
    for _ in range(round(10 * seconds)):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the condition was not met in {seconds} seconds")
