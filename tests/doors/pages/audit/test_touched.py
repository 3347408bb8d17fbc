"""A log that somebody touched, as the page shows it: what was done, and what to do about it."""

import re
import time
from pathlib import Path

from leadglass.crypto.database import open_sealed
from tests.doors.pages.browser import Browser, add_person
from tests.keys import archive_key
from tests.peers.web import serving


def test_a_log_that_was_touched_is_said_to_be_while_the_archive_runs(tmp_path: Path) -> None:
    with serving(tmp_path) as web, Browser(web) as browser:
        add_person(web, "m.auditor", "auditor")
        browser.sign_in("m.auditor")
        for _ in range(5):
            browser.get("/audit")
        found = re.search(r'class="number">(\d+)</th>', browser.page)
        assert found
        number = int(found[1]) - 2
        path = web.leadglass.data / "audit.db"
        log = open_sealed(path, archive_key(web.leadglass.data).derive("audit database"))
        log.execute("UPDATE record SET body = replace(body, 'm.auditor', 'somebody') WHERE sequence = ?", (number,))
        log.close()
        browser.get("/audit/verify")
        browser.send("/audit/verify")
        end = time.monotonic() + 60
        while "It runs" in browser.page and time.monotonic() < end:
            time.sleep(0.1)
            browser.get("/audit/verify")
        assert "The log was touched" in browser.page
        assert f"Record {number}" in browser.page
        assert "Keep the archive" in browser.page
        state = browser.client.get("/audit/verify", headers={"Accept": "application/json"}).json()
        assert state["last"]["fault"]["sequence"] == number
        browser.get("/audit")
        browser.post("/audit", {"csrf": browser.csrf, "outcome": "alert", "action": "audit"})
        assert f"Record {number}" in browser.page, "it is an alert on record"
        browser.get("/audit")
        answer = browser.send("/audit/export", format="leadglass")
        assert answer.status_code == 500, "what does not fit its heads is not given away as if it were whole"
