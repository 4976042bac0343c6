import json

import pytest

from recpipe.profiling.findings import TITLES, findings
from recpipe.profiling.pages import markdown
from recpipe.profiling.report import DataReport
from recpipe.storage import content_digest
from recpipe_tests.profiling.tiny import EVENTS, FILMS, features, prepared


@pytest.fixture(scope="module")
def report() -> DataReport:
    return DataReport.build(prepared(EVENTS), FILMS)


@pytest.fixture(scope="module")
def written(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report.write(folder)
    return folder


def test_a_report_comes_back_as_it_was_written(report, written):
    assert DataReport.read(written).figures() == report.figures()
    assert json.loads((written / "figures.json").read_text())["films"]["gini"] == pytest.approx(0.25)


def test_the_same_data_give_the_same_content(written, tmp_path):
    DataReport.build(prepared(EVENTS), FILMS).write(tmp_path)
    assert content_digest(tmp_path) == content_digest(written)


def test_the_page_stands_alone_and_has_every_section(written):
    page = (written / "views" / "data_report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page
    assert page.count("data:image/png;base64,") == 7
    assert page.count("For the choice of a split.") == len(TITLES)
    for title in TITLES.values():
        assert title in page, title


def test_sentences_carry_the_figures(report):
    told = findings(report)
    assert "has 43% of the interactions" in told["films"].seen  # three of seven
    assert "2 films have half of all" in told["films"].seen
    assert "4 sessions" in told["sessions"].seen
    assert "years 75% (86%)" in told["side"].seen
    assert "16.67% are dated after the year of the watch" in told["years"].seen
    assert "it costs real hits" in told["years"].means
    assert "yet 20% of the training part is later" in told["splitting"].means
    assert "leaves nobody to test with: 7 days 0 users" in told["splitting"].means
    assert "holdout hides nothing from 100.0% of the users" in told["users"].means


def test_markdown_has_the_sections_with_their_pictures(report):
    text = markdown(report)
    assert text.count("### ") == len(TITLES) and text.count("data:image/png;base64,") == 7


@pytest.mark.parametrize("events", [EVENTS[:1], EVENTS[:2], [(0, 0, 0), (1, 0, 0)]], ids=["one", "one user", "tie"])
def test_the_smallest_data_without_side_tables_still_make_a_page(events, tmp_path):
    report = DataReport.build(prepared(events), features())
    report.write(tmp_path)
    assert "No film&#39;s release year is known." in (tmp_path / "views" / "data_report.html").read_text()
    assert DataReport.read(tmp_path).figures() == report.figures()
