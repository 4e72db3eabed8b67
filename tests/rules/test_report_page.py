"""The report in a browser: sorting, filtering, samples, themes, widths, hostile text, nothing from the network."""

import gzip
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from report_runs import HOSTILE, MARKUP, comparison, make_run
from snakeval.results.report.page import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
MAX_BYTES = 25_000_000


@dataclass
class Opened:
    """A page with all that it did on its own."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def column(self, table: str, number: int) -> list[str]:
        """Return the visible texts of a column."""
        return self.page.locator(f"{table} tbody tr:visible td:nth-child({number})").all_inner_texts()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of the system; CI has to have one."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed; on Debian `apt-get install chromium` brings one")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of two deployments and three tasks; one has failed, and a gate says no."""
    root = tmp_path_factory.mktemp("runs")
    config = make_run(root, missing=[("beta", "words")])
    compared = root / "compared.json"
    compared.write_text(json.dumps(comparison()), encoding="utf-8")
    write_report(config, [compared], root / "report.html")
    return root / "report.html"


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    """The page at 1400 px, light; whatever it complains of or asks the network for is a failure of the test."""
    yield from _open(browser, report)


def _open(browser: Browser, path: Path, width: int = 1400, scheme: str = "light") -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    one = Opened(context.new_page())
    one.page.on("request", lambda request: one.requests.append(request.url))
    one.page.on("console", lambda message: one.complaints.append(f"{message.type}: {message.text}"))
    one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
    one.page.goto(path.as_uri())
    yield one
    hacked = one.page.evaluate("window.hacked")
    context.close()
    assert one.complaints == []
    assert one.requests == [path.as_uri()]
    assert hacked is None


def _samples(opened: Opened, task: str = "#task-0") -> Locator:
    opened.page.locator(f"{task} > summary").click()
    samples = opened.page.locator(f"{task} .sample")
    samples.first.wait_for()
    return samples


def _colour(page: Page, selector: str, name: str) -> str:
    return str(page.eval_on_selector(selector, f"element => getComputedStyle(element)['{name}']"))


def _brightness(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2) of a computed colour."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_columns_sort_in_both_directions_and_missing_stays_last(opened: Opened) -> None:
    head = opened.page.locator("#scores th", has_text="value")
    head.get_by_role("button").click()
    falling = opened.column("#scores", 4)
    assert head.get_attribute("aria-sort") == "descending"
    numbers = [float(text) for text in falling if text]
    assert falling == [f"{one:.4f}" for one in sorted(numbers, reverse=True)] + [""]
    head.get_by_role("button").click()
    assert opened.column("#scores", 4) == [f"{one:.4f}" for one in sorted(numbers)] + [""]
    opened.page.locator("#scores th", has_text="task").get_by_role("button").click()
    assert opened.column("#scores", 2) == ["capitals", "capitals", "sums", "sums", "words", "words"]
    assert head.get_attribute("aria-sort") is None


def test_the_leaderboard_is_filtered_by_words(opened: Opened) -> None:
    opened.page.get_by_placeholder("deployment or task").fill("BETA sum")
    assert opened.column("#scores", 1) == ["beta"]
    assert opened.page.locator("[data-counts=scores]").inner_text() == "1 of 6"
    opened.page.get_by_placeholder("deployment or task").fill("")
    assert len(opened.column("#scores", 1)) == 6


def test_samples_are_unpacked_wrong_first_and_filtered(opened: Opened, report: Path) -> None:
    assert opened.page.locator(".sample").count() == 0, "nothing is unpacked before it is asked for"
    samples = _samples(opened)
    with gzip.open(report.parent / "demo" / "beta" / "sums" / "samples.jsonl.gz", "rt", encoding="utf-8") as stream:
        beta = [json.loads(line) for line in stream]
    right = sum(one["metrics"]["exact_match[none]"] == 1 for one in beta)
    assert samples.count() == 20
    assert set(opened.page.locator("#task-0 .state").all_inner_texts()) == {"wrong"}
    deployment, state = (opened.page.locator("#task-0 select").nth(number) for number in (0, 1))
    deployment.select_option(label="beta")
    state.select_option("right")
    opened.page.locator("#task-0").get_by_text("Show more").click()
    assert samples.count() == right
    assert opened.page.locator("#task-0 .samples ~ button").is_hidden()
    assert opened.page.locator("#task-0 .controls [role=status]").inner_text() == f"{right} of {right} shown"
    state.select_option("")
    opened.page.get_by_role("searchbox", name="Containing").fill("what is 17 + 17")
    assert samples.count() == 1
    shown = samples.first.locator("pre").all_inner_texts()
    assert shown[0] == "Question 17 of sums: what is 17 + 17?"
    assert shown[1] == beta[17]["answer"]
    assert shown[2] == "34"


def test_hostile_answers_are_text(opened: Opened) -> None:
    _samples(opened)
    opened.page.get_by_role("searchbox", name="Containing").fill("window.hacked")
    answers = opened.page.locator("#task-0 .sample .texts > div:nth-child(2) pre")
    assert answers.count() == 2
    assert answers.first.text_content() == HOSTILE
    assert opened.page.locator("main img, main script, main a[href^=javascript]").count() == 0
    assert MARKUP in (opened.page.locator("#failures pre").text_content() or "")
    assert MARKUP in (opened.page.locator("#comparison").text_content() or "")


def test_the_policy_of_the_page_forbids_what_it_does_not_need(opened: Opened) -> None:
    """Even markup that got in would do nothing."""
    opened.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 5";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "https://example.com/x.png";
            document.body.append(image);
        }"""
    )
    opened.page.wait_for_function("() => document.body.lastElementChild.complete")
    assert len(opened.complaints) == 2
    assert all("Content Security Policy" in one for one in opened.complaints)
    opened.complaints.clear()
    opened.requests[:] = opened.requests[:1]


def test_missing_tasks_are_shown_with_their_cause(opened: Opened) -> None:
    failures = opened.page.locator("#failures").inner_text()
    assert "beta / words: the server of it died while the task ran" in failures
    assert "error: the server died" in failures
    assert "beta/words/log.txt" in failures
    assert opened.page.locator("#scores tr.missing td").nth(2).inner_text() == "missing"
    assert "missing" in (opened.page.locator("#heat-map svg").text_content() or "")
    opened.page.locator("#task-1 > summary").click()
    assert "beta has no result" in opened.page.locator("#task-1").inner_text()
    assert "the run is not complete" in opened.page.locator("#lock").inner_text()


def test_the_comparison_and_its_gate(opened: Opened) -> None:
    section = opened.page.locator("#comparison")
    assert section.locator("h3 .verdict").inner_text() == "NO-GO"
    assert section.locator("td.worse").inner_text() == "worse"
    assert "-0.1500 to -0.0500" in section.inner_text()
    assert section.locator("svg").count() == 1
    section.get_by_text("Samples that changed").click()
    assert section.locator("details[open] td:visible", has_text=re.compile("^3$")).count() == 1


def test_charts_timings_and_tokens(opened: Opened) -> None:
    assert opened.page.locator("#intervals svg").count() == 3
    assert opened.page.locator("#intervals [aria-label^='alpha: 0.']").count() >= 3
    assert opened.page.locator("#timings tbody tr td:nth-child(2)").all_inner_texts() == ["15.0 s", "15.0 s"]
    assert opened.page.locator("#timings svg").count() == 1
    assert opened.page.locator("#tokens table").first.locator("tbody td").all_inner_texts()[:5] == [
        "alpha",
        "3",
        "120",
        "300",
        "60",
    ]


def test_a_cell_of_the_heat_map_leads_to_its_task(opened: Opened) -> None:
    # Its number lies over its colour; both lead there.
    opened.page.locator("#heat-map a", has=opened.page.locator("text")).first.click()
    opened.page.locator("#task-0[open] .sample").first.wait_for()
    assert opened.page.url.endswith("#task-0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_are_legible(browser: Browser, report: Path, scheme: str) -> None:
    for opened in _open(browser, report, scheme=scheme):
        _samples(opened)
        for _ in range(2):
            dark = _brightness(_colour(opened.page, "body", "backgroundColor")) < 0.2
            assert dark == (scheme == "dark")
            paper = {"section": "section", "#task-0 pre.text": "#task-0 pre.text"}
            for text, ground in paper.items():
                _assert_contrast(opened.page, text, ground, "color")
            for text in (".note", "th button", "#failures summary b", ".incomparable", "section a"):
                _assert_contrast(opened.page, text, "section", "color")
            _assert_contrast(opened.page, "#intervals svg .role-axis-label text", "section", "fill")
            opened.page.locator("#theme").click()
            scheme = "light" if scheme == "dark" else "dark"


def _assert_contrast(page: Page, text: str, ground: str, name: str) -> None:
    """Check for the contrast that WCAG 2.2 (AA) asks of text."""
    ends = sorted((_brightness(_colour(page, text, name)), _brightness(_colour(page, ground, "backgroundColor"))))
    assert (ends[1] + 0.05) / (ends[0] + 0.05) >= 4.5, text


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int) -> None:
    for opened in _open(browser, report, width=width):
        _samples(opened)
        opened.page.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = true; })")
        opened.page.locator("#task-2 .sample").first.wait_for()
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        boxes = opened.page.locator("section, figure, .sample, pre.text, .scroll").all()
        assert all(box["x"] + box["width"] <= width for one in boxes if (box := one.bounding_box()))


def test_no_name_is_cut_off_by_its_chart(browser: Browser, tmp_path: Path) -> None:
    config = make_run(tmp_path, ["smollm2-135m-instruct", "SMOLLM2-1.7B"], ["boolean_expressions", "mmmmmmmmmmmmm"])
    compared = tmp_path / "compared.json"
    compared.write_text(json.dumps(comparison(task="boolean_expressions")), encoding="utf-8")
    write_report(config, [compared], tmp_path / "report.html")
    outside = """() => [...document.querySelectorAll("svg text")].filter((text) => {
        const [inner, outer] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
        return inner.left < outer.left || inner.right > outer.right || inner.top < outer.top;
    }).map((text) => text.textContent)"""
    for opened in _open(browser, tmp_path / "report.html", width=360):
        assert opened.page.evaluate(outside) == []
        widths = [one.bounding_box() for one in opened.page.locator("figure").all()]
        assert all(box and box["x"] + box["width"] <= 360 for box in widths)


def test_an_empty_run_has_a_page(browser: Browser, tmp_path: Path) -> None:
    config = make_run(tmp_path, ["a"], ["one"], missing=[("a", "one")])
    write_report(config, [], tmp_path / "report.html")
    for opened in _open(browser, tmp_path / "report.html"):
        assert opened.column("#scores", 3) == ["missing"]
        assert "no result yet" in opened.page.locator("#heat-map").inner_text()


def test_a_large_run_stays_small(browser: Browser, tmp_path: Path) -> None:
    """20 deployments, 50 tasks, 1,000 samples each; how long it takes to open is only told."""
    config = make_run(tmp_path, [f"deployment-{n}" for n in range(20)], [f"task-{n}" for n in range(50)], 1000)
    path = tmp_path / "report.html"
    write_report(config, [], path)
    size = path.stat().st_size
    assert 5_000_000 < size < MAX_BYTES
    begun = time.monotonic()
    for opened in _open(browser, path):
        took_s = time.monotonic() - begun
        print(f"{size / 1e6:.1f} MB, open after {took_s:.1f} s")
        assert len(opened.column("#scores", 1)) == 1000
        assert _samples(opened, "#task-49").count() == 20
        told = opened.page.locator("#task-49 > .note").inner_text()
        numbers = [int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*", told)[:3]]
        assert numbers[1] == 20_000
        assert 0 < numbers[0] == numbers[1] - numbers[2]
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 1400
