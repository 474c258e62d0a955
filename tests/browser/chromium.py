"""Debian's Chromium, driven: a window that opens pages, looks at them and clicks, as a person does.

Selenium waits in threads, so that the page may be served by the test's own loop.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 60
DESK, PHONE = (1100, 800), (390, 800)
# A browser that looks for updates and accounts has no place in a test.
_QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


class Window:
    """One browser window."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    async def open(self, url: str) -> None:
        await asyncio.to_thread(self._driver.get, url)

    async def reads(self, words: str, within: str = "main") -> str:
        """Wait until a part of the page says this; all that it says."""

        def look(driver: Any) -> str | bool:
            said = [part.text for part in driver.find_elements(By.CSS_SELECTOR, within)]
            return "\n".join(said) if words in "\n".join(said) else False

        return str(await self._until(look))

    async def does_not_read(self, words: str) -> None:
        """Wait until the page no longer says this."""
        await self._until(lambda driver: words not in driver.find_element(By.TAG_NAME, "main").text)

    async def click(self, selector: str, words: str = "") -> None:
        """Click what is there, or comes, and has these words."""

        def act(driver: Any) -> bool:
            found = [one for one in driver.find_elements(By.CSS_SELECTOR, selector) if words in one.text]
            if not found:
                return False
            found[0].click()
            return True

        await self._until(act)

    async def write(self, selector: str, words: str) -> None:
        await self._until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector).send_keys(words) is None)

    async def counts(self, selector: str) -> int:
        """How many of these there are."""
        return len(await asyncio.to_thread(self._driver.find_elements, By.CSS_SELECTOR, selector))

    async def complaints(self) -> list[str]:
        """What the browser complained of: scripts that failed, and what the policy refused."""
        return [entry["message"] for entry in await asyncio.to_thread(self._driver.get_log, "browser")]

    async def is_too_wide(self) -> bool:
        """Whether a reader has to scroll sideways."""
        script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(await asyncio.to_thread(self._driver.execute_script, script))

    async def looks(self, *, dark: bool = False, size: tuple[int, int] = DESK) -> None:
        """Be a screen of that size, light or dark."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self._tell("Emulation.setEmulatedMedia", features=features)
        await self._tell(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )

    async def download(self, selector: str, folder: Path) -> Path:
        """Click a link to a file; the file, once it is whole."""
        before = set(folder.iterdir())
        await self._tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        await self.click(selector)

        def look(_driver: Any) -> Path | bool:
            new = [one for one in set(folder.iterdir()) - before if one.suffix != ".crdownload"]
            return new[0] if new else False

        return Path(await self._until(look))

    async def picture(self, file: Path) -> None:
        """Keep what is to be seen as a PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._driver.save_screenshot, str(file))

    async def _tell(self, command: str, **given: Any) -> None:
        await asyncio.to_thread(self._driver.execute_cdp_cmd, command, given)

    async def _until(self, look: Any) -> Any:
        # What is looked at may be replaced while it is: then it is looked for again.
        waiting = WebDriverWait(self._driver, PATIENCE_S, 0.05, ignored_exceptions=[Exception])
        return await asyncio.to_thread(waiting.until, look)


@asynccontextmanager
async def window() -> AsyncIterator[Window]:
    """A new browser, without anything an earlier one remembered."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        raise RuntimeError("Chromium is missing. Type: sudo apt-get install -y chromium chromium-driver")
    profile = tempfile.mkdtemp(prefix="twb")
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (*_QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium's own sandbox refuses to run as root.
        options.add_argument("--no-sandbox")
    opened = await asyncio.to_thread(Chrome, options, Service(driver))
    try:
        yield Window(opened)
    finally:
        await asyncio.to_thread(opened.quit)
        shutil.rmtree(profile, ignore_errors=True)
