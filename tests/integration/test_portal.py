"""The portal in a real browser: what a reader does, and what a browser refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support.portal import (
    CASES,
    Case,
    Steps,
    System,
    seed,
    seed_alert,
    seed_case,
    seed_operations,
    study_id,
)
from tests.support.processes import WAIT_S, wait_until
from tests.support.serving import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SIDE = 512
"""pixels; side of the seeded picture and overlay."""
PATIENCE_MS = 1000 * WAIT_S
"""milliseconds for whatever a page or the browser shall do."""


@pytest.fixture
def system(tmp_path):
    made = System.fresh(tmp_path)
    seed(made)
    seed_alert(made, CASES[0])
    seed_operations(made)
    yield made
    made.connections.close()


@pytest.fixture
def address(system):
    with Steps(system), Server(system.connections, system.credentials()) as at:
        yield at


@pytest.fixture(scope="module")
def chromium():
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def complaints():
    """What the browser's console said, Content-Security-Policy violations among it."""
    return []


@pytest.fixture
def sign_in(chromium, address, system, complaints):
    contexts = []

    def signed_in(role="radiologist", user="dr.reader"):
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/login")
        page.fill("#token", system.token(role, user))
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.wait_for_load_state("load")  # a key pressed before the scripts run is heard by nobody
        return page

    yield signed_in
    for context in contexts:
        context.close()


@pytest.fixture
def reader(sign_in):
    return sign_in()


def priorities(page):
    return page.locator("#rows .priority span").all_inner_texts()


def test_the_worklist_stands_in_reading_order_and_says_why(reader, complaints):
    assert priorities(reader) == [
        "Critical",
        "High",
        "Undetermined",
        "Not analysed",
        "Pending AI",
        "Not analysed",
        "Routine",
    ]
    first = reader.locator("#rows tr").first
    for said in (
        "Pneumothorax",
        "0.94",
        "demonstration",
        "synthetic",
        "rule R2",
        "DOE, Jane",
        "12 min",
        "Unclaimed",
    ):
        expect(first).to_contain_text(said)
    assert complaints == []


def test_keys_search_move_and_open(reader):
    reader.keyboard.press("/")
    reader.keyboard.type("roe")
    expect(reader.locator("#rows tr:visible")).to_have_count(1)
    reader.keyboard.press("Enter")
    expect(reader.locator("tr.selected")).to_contain_text("ROE, Max")
    reader.keyboard.press("Enter")
    expect(reader).to_have_url(re.compile(f"/studies/{study_id(2)}$"))


def test_a_new_study_announces_itself_and_moves_nothing_until_asked(reader, system):
    before = priorities(reader)
    seed_case(
        system,
        Case(number=50, name="NEW^Urgent", urgency="critical", weight=50.0, findings=CASES[0].findings),
    )
    expect(reader.locator("#news")).to_contain_text("1 new study")
    assert priorities(reader) == before
    reader.keyboard.press("n")
    expect(reader.locator("#rows")).to_contain_text("NEW, Urgent")
    assert priorities(reader).count("Critical") == 2


def test_a_study_shows_its_image_boxes_and_heat_map(reader, complaints):
    reader.keyboard.press("j")
    reader.keyboard.press("Enter")
    picture, overlay, marks = reader.locator("#picture"), reader.locator("#overlay"), reader.locator("#marks")
    expect(picture).to_have_js_property("naturalWidth", SIDE)
    expect(marks).to_be_visible()
    reader.keyboard.press("b")
    expect(marks).to_be_hidden()
    expect(overlay).to_be_hidden()
    reader.keyboard.press("h")
    expect(overlay).to_be_visible()
    expect(overlay).to_have_js_property("naturalWidth", SIDE)
    reader.keyboard.press("h")
    expect(overlay).to_be_hidden()
    reader.keyboard.press("i")
    assert picture.evaluate("image => getComputedStyle(image).filter") == "invert(1)"
    for said in ("Pneumothorax", "36118008 SCT", "threshold 0.62", "de-identified", "demonstration"):
        expect(reader.locator("#panel")).to_contain_text(said)
    assert complaints == []


def test_a_finding_is_accepted_and_the_study_signed_with_a_second_thought(reader, address, complaints):
    reader.goto(f"{address}/studies/{study_id(1)}")
    reader.keyboard.press("a")
    expect(reader.locator("#panel")).to_contain_text("Accepted by dr.reader")
    reader.keyboard.press("Control+Enter")
    expect(reader.get_by_role("dialog")).to_contain_text("Sign revision 1?")
    reader.keyboard.press("Control+Enter")
    expect(reader.locator(".signed")).to_contain_text("signed by dr.reader")
    reader.goto(address)
    expect(reader.locator("#rows")).not_to_contain_text("DOE, Jane")
    assert complaints == []


def test_of_two_readers_one_signs_and_the_other_is_told(sign_in, address):
    first, second = sign_in(), sign_in(user="dr.second")
    for page in (first, second):
        page.goto(f"{address}/studies/{study_id(4)}")
    first.keyboard.press("Control+Enter")
    first.keyboard.press("Control+Enter")
    expect(first.locator(".signed")).to_be_visible()
    second.keyboard.press("Control+Enter")
    second.keyboard.press("Control+Enter")
    expect(second.locator("#answer")).to_contain_text("dr.reader has signed this study")
    expect(second.locator(".signed")).to_have_count(0)
    second.get_by_role("button", name="Show the newest").click()
    expect(second.locator(".signed")).to_contain_text("signed by dr.reader")


def test_what_was_not_analysed_and_cannot_be_shown_says_why(reader, address):
    reader.goto(f"{address}/studies/{study_id(7)}")
    expect(reader.locator(".state")).to_contain_text("Kept from inference: ultrasound pixels")
    expect(reader.locator("#placeholder")).to_contain_text("Withheld")
    reader.goto(f"{address}/studies/{study_id(3)}")
    expect(reader.locator("#placeholder")).to_contain_text("cannot be decoded")


def test_an_alert_is_acknowledged(reader, address, complaints):
    reader.locator("#badge").click()
    alert = reader.locator(".alert")
    expect(alert).to_contain_text("webhook: delivered")
    reader.wait_for_load_state("load")  # the text is there before the scripts run
    reader.keyboard.press("a")
    expect(reader.locator("#answer")).to_contain_text("Acknowledged")
    assert complaints == []


def test_a_page_of_another_role_is_a_designed_refusal(reader, sign_in, address):
    assert reader.goto(f"{address}/operations").status == 403
    reader.get_by_role("link", name="Back to the worklist").click()
    expect(reader.locator("#rows")).to_be_visible()
    operator = sign_in("operator", "op.one")
    expect(operator.locator("main")).to_contain_text("Quarantine today")
    assert operator.goto(f"{address}/studies/{study_id(1)}").status == 403
    expect(operator.locator("body")).not_to_contain_text("DOE")


@pytest.mark.parametrize("width", [1024, 1440])
@pytest.mark.parametrize("path", ["/", f"/studies/{study_id(1)}", "/alerts"])
def test_no_page_scrolls_sideways_and_every_ground_is_dark(reader, address, path, width):
    reader.set_viewport_size({"width": width, "height": 768})
    reader.goto(f"{address}{path}")
    assert reader.evaluate("document.documentElement.scrollWidth") <= width
    for ground in ("html", "body"):
        colour = reader.evaluate(f"getComputedStyle(document.querySelector('{ground}')).backgroundColor")
        assert max(int(part) for part in re.findall(r"\d+", colour)[:3]) < 32


def test_the_process_serves_announces_itself_and_drains(system, tmp_path):
    path = tmp_path / "settings.toml"
    system.connections.settings.write(path)
    environment = {**os.environ, "RADSTREAM_SETTINGS": str(path)}
    process = subprocess.Popen([sys.executable, "-m", "portal_api"], env=environment, stderr=subprocess.PIPE)
    try:
        address = announced(system.connections.settings.data / "run" / "portal.json")
        answer = httpx.get(
            f"{address}/api/worklist", headers={"Authorization": f"Bearer {system.token()}"}, timeout=WAIT_S
        )
        assert answer.json()["rows"][0]["patient"]["name"] == "DOE, Jane"
    finally:
        process.send_signal(signal.SIGTERM)
        _, lines = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert b"DOE" not in lines


def announced(path):
    def address():
        return json.loads(path.read_text()).get("address") if path.exists() else None

    wait_until(lambda: bool(address()), "the portal announces itself")
    return address()
