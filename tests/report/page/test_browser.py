"""Tests of the page in a real browser; skipped without one, unless SEEDBED_BROWSER=required."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from scipy.stats import trim_mean
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from research.report.live import LivePage, serving
from research.report.page.page import write_page
from research.report.read import read_run_folder
from research.report.summary import summarize

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
REQUIRED = os.environ.get("SEEDBED_BROWSER") == "required"
HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
)

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER) and not REQUIRED, reason="no chromium with its chromedriver"
    ),
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless Chromium with a profile of its own and no network services."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or "chromium"
    quiet = ("disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
             "disable-component-update", "disable-sync", "disable-dev-shm-usage")  # fmt: skip
    for flag in ("headless", "no-sandbox", "window-size=1280,900", *quiet):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER or "chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    """The browser with a desktop-sized window and the light theme."""
    chromium.get("about:blank")
    size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.get_log("browser"), chromium.get_log("performance")
    return chromium


def until(condition, what, seconds=20.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


def show(browser, address):
    browser.get(address)
    ready = "return 'ready' in document.documentElement.dataset"
    until(lambda: browser.execute_script(ready), "the page is not drawn")


def show_summary(browser, summary, tmp_path):
    page = write_page(summary, tmp_path / "page.html")
    show(browser, page.as_uri())
    return page


def plot(browser, chart):
    """The element of a chart, after it has been drawn and scrolled into view."""
    found = browser.find_element(By.CSS_SELECTOR, f'[data-chart="{chart}"] .plot')
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    drawn = "return Boolean(arguments[0]._fullLayout)"
    until(lambda: browser.execute_script(drawn, found), f"{chart} is not drawn")
    return found


def shown_lines(browser, chart="curves"):
    return browser.execute_script(
        "return arguments[0].querySelectorAll('.scatterlayer .js-line').length",
        plot(browser, chart),
    )


def hover_texts(browser, chart):
    texts = "return [...arguments[0].querySelectorAll('.hoverlayer text')].map(e => e.textContent)"
    return browser.execute_script(texts, plot(browser, chart))


def errors(browser):
    return [entry["message"] for entry in browser.get_log("browser")]


def asked(browser):
    """The URLs that the browser requested, other than the page itself and its inline content."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [one for one in addresses if not one.startswith(("data:", "blob:", "chrome:", "about:"))]


def test_the_page_draws_without_errors_and_requests_nothing(browser, grid, tmp_path):
    page = show_summary(browser, grid, tmp_path)
    for chart in ("curves", "dots", "profile", "levels-0", "heat-0", "parallel-0"):
        assert plot(browser, chart).find_elements(By.CSS_SELECTOR, "svg.main-svg")
    assert errors(browser) == []
    assert asked(browser) == [page.as_uri()]
    assert page.stat().st_size < 10e6


def test_the_content_security_policy_blocks_other_scripts_and_requests(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s)"
    )
    assert browser.execute_script("return window.bad") is None
    fetched = (
        "const [done] = arguments; fetch('https://example.org').then(() => done(1), () => done(0))"
    )
    assert browser.execute_async_script(fetched) == 0
    assert sum("Content Security Policy" in message for message in errors(browser)) >= 2


@pytest.mark.slow
def test_the_legend_switches_a_setting_off_and_on(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    before = shown_lines(browser)
    button = browser.find_element(By.CSS_SELECTOR, '[data-chart="curves"] [data-setting="0"]')
    assert button.text == grid.lines[0].label
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    until(lambda: shown_lines(browser) < before, "the curve is still there")
    profile = "return arguments[0].data.filter(one => one.visible === false).length"
    until(lambda: browser.execute_script(profile, plot(browser, "profile")) > 8, "not in others")
    button.send_keys(Keys.ENTER)  # by keyboard
    until(lambda: shown_lines(browser) == before, "the curve does not come back")


def test_hovering_shows_the_value_in_the_metrics(browser, make_sweep, tmp_path):
    """With a single seed it is the exact value; the test moves the mouse as a user would."""
    made = np.random.default_rng(0).normal(size=(2, 1, 9))
    run = read_run_folder(make_sweep(made))
    show_summary(browser, summarize([run]), tmp_path)
    step, setting = 7, run.metrics["rate"] == 0.2
    rows = run.metrics[setting & (run.metrics["step"] == step)]
    (expected,) = rows["validation_score"].to_numpy(np.float64)
    move_to_step(browser, "curves", step)
    texts = until(lambda: hover_texts(browser, "curves"), "nothing is said")
    (said,) = [one for one in texts if "rate 0.2" in one]
    assert f" {expected:.6g} [" in said


@pytest.mark.slow
def test_hovering_shows_the_interquartile_mean_of_several_seeds(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    move_to_step(browser, "curves", 5)
    line = grid.lines[0]
    rows = line.setting.rows
    values = rows[rows["step"] == 5]["validation_score"].to_numpy(np.float64)
    expected = f"{np.float32(trim_mean(values, 0.25)):.6g}"
    texts = until(lambda: hover_texts(browser, "curves"), "nothing is said")
    assert any(expected in one for one in texts), (expected, texts)


def move_to_step(browser, chart, step):
    element = plot(browser, chart)
    offset = browser.execute_script(
        "const {xaxis, width, height} = arguments[0]._fullLayout;"
        "return [xaxis._offset + xaxis.d2p(arguments[1]) - width / 2, 0]",
        element, step,
    )  # fmt: skip
    ActionChains(browser).move_to_element_with_offset(element, *map(int, offset)).perform()


def test_names_from_a_run_folder_are_never_markup(browser, make_sweep, tmp_path):
    made = np.random.default_rng(0).normal(size=(2, 4, 6))
    axes = {"data": [HOSTILE, "<b>bold</b>"]}
    run = read_run_folder(make_sweep(made, "<script>document.title=1<script>", axes=axes))
    show_summary(browser, summarize([run]), tmp_path)
    assert browser.title == browser.find_element(By.TAG_NAME, "h1").text
    assert browser.title == "<script>document.title=1<script>"
    rows = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".headline tbody td")]
    assert HOSTILE in rows
    legend = browser.find_element(By.CSS_SELECTOR, '[data-chart="curves"] .legend').text
    assert f"data {HOSTILE}" in legend
    ticks = browser.execute_script(
        "return [...arguments[0].querySelectorAll('.ytick')].map(e => e.textContent)",
        plot(browser, "dots"),
    )
    assert "<b>bold</b>" in ticks
    assert any(one.startswith("</script><script>") for one in ticks)
    assert errors(browser) == []


@pytest.mark.slow
def test_arrow_keys_move_along_a_curve_and_show_its_values(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    element = plot(browser, "curves")
    element.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    said = browser.find_element(By.ID, "said")
    second = grid.lines[0].setting.rows
    values = second[second["step"] == 2]["validation_score"].to_numpy(np.float64)
    expected = f"{np.float32(trim_mean(values, 0.25)):.6g}"
    until(lambda: expected in said.get_attribute("textContent"), "another number is said")


@pytest.mark.slow
def test_another_metric_and_axis_can_be_chosen(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    figure = browser.find_element(By.CSS_SELECTOR, '[data-chart="curves"]')
    title = lambda axis: browser.execute_script(
        f"return arguments[0]._fullLayout.{axis}.title.text", plot(browser, "curves")
    )
    assert (title("xaxis"), title("yaxis")) == ("steps", "validation score")
    choose(figure, 0, "loss")
    choose(figure, 1, "examples")
    until(lambda: (title("xaxis"), title("yaxis")) == ("examples", "loss"), "not drawn anew")


def choose(figure, place, value):
    box = figure.find_elements(By.CSS_SELECTOR, ".controls select")[place]
    box.find_element(By.CSS_SELECTOR, f'option[value="{value}"]').click()


@pytest.mark.slow
def test_the_page_fits_a_phone_and_follows_the_dark_theme(browser, grid, tmp_path):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    show_summary(browser, grid, tmp_path)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    ground = "return getComputedStyle(document.documentElement).backgroundColor"
    assert browser.execute_script(ground) == "rgb(20, 23, 27)"
    text = "return arguments[0]._fullLayout.font.color"
    assert browser.execute_script(text, plot(browser, "curves")) == "#e6e9ed"
    button = browser.find_element(By.ID, "theme")
    assert button.text == "Use light colours"
    assert first_columns(browser) == ["setting", "validation_score IQM [95%]"]
    button.click()
    until(lambda: browser.execute_script(ground) == "rgb(255, 255, 255)", "it stays dark")
    until(
        lambda: browser.execute_script(text, plot(browser, "curves")) == "#1b1f24", "so do charts"
    )


def first_columns(browser):
    """The headings that are seen at the left end of the table, at most two."""
    heads = browser.find_elements(By.CSS_SELECTOR, ".headline th")
    shown = [one for one in heads if one.text and one.rect["x"] + one.rect["width"] < 390]
    return [" ".join(one.get_attribute("textContent").split()) for one in shown[:2]]


@pytest.mark.slow
def test_no_column_of_the_table_is_cut_off_on_a_desktop(browser, grid, tmp_path):
    show_summary(browser, grid, tmp_path)
    table = browser.find_element(By.CLASS_NAME, "headline")
    assert table.rect["width"] <= table.find_element(By.XPATH, "..").rect["width"]
    swatches = table.find_elements(By.CSS_SELECTOR, "tbody td:first-child svg")
    in_legend = browser.find_elements(By.CSS_SELECTOR, '[data-chart="curves"] [data-setting] svg')
    drawn = [[one.get_attribute("outerHTML") for one in place] for place in (swatches, in_legend)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == len(grid.lines)


@pytest.mark.slow
def test_a_live_page_shows_new_steps_and_keeps_the_users_choices(browser, make_sweep):
    made = np.random.default_rng(0).normal(size=(2, 4, 6))
    path = make_sweep(made, status="running")
    with serving(LivePage([path]), 0) as address:
        show(browser, address)
        assert "is running" in browser.find_element(By.CLASS_NAME, "findings").text
        button = '[data-chart="curves"] [data-setting="1"]'
        until(lambda: press(browser, button), "the page changes too often to be used")
        finish(path)
        findings = lambda: browser.execute_script(
            "return document.querySelector('.findings').textContent"
        )
        until(lambda: "is running" not in findings(), "it is still said to run")
        kept = browser.find_element(By.CSS_SELECTOR, button).get_attribute("aria-pressed")
        assert kept == "false"
        assert shown_lines(browser) == 2  # a curve and its band
        assert errors(browser) == []


def press(browser, selector):
    """Presses a button; returns False if a renewal of the page has just replaced it."""
    try:
        browser.find_element(By.CSS_SELECTOR, selector).click()
    except StaleElementReferenceException:
        return False
    return True


def finish(path):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"status": "finished"}))
