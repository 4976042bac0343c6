"""Great Expectations in memory: crashes told from failures, nothing sent, documents that open without a network."""

from __future__ import annotations

import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recpipe.validation.data_docs import write_data_docs
from recpipe.validation.engine import Fact, judge_facts
from recpipe.validation.outcome import Outcome, ValidationFailed


def test_facts_are_held_to_their_bounds_and_reported_in_their_order() -> None:
    outcome = judge_facts(
        "facts",
        [
            Fact("nothing is lost", 0, most=0, unit="events"),
            Fact("there are enough", 3, least=5, unit="users", note="of 10", sample=({"user": 7},)),
            Fact("a share is small", 0.25, least=0.1, most=0.3),
            Fact("the colour is known", "green", one_of=("red", "blue")),
        ],
    )
    assert [check.success for check in outcome.checks] == [True, False, True, False]
    assert outcome.checks[1].expected == "at least 5" and outcome.checks[1].observed == "3 users (of 10)"
    assert outcome.checks[2].expected == "0.1 to 0.3" and outcome.checks[3].expected == "red or blue"
    assert not outcome.success
    with pytest.raises(ValidationFailed, match=r"facts: 2 of 4 checks failed\n- .*enough.*3 users.*user 7\n- .*green"):
        outcome.raise_if_failed()


def test_a_rule_that_crashed_is_told_from_one_that_failed() -> None:
    facts = [Fact("ratings are low", 9, most=5, sample=({"rating": 9.0},)), Fact("times are late", "noon", least=5)]
    outcome = judge_facts("facts", facts)
    failed, crashed = outcome.checks
    assert (failed.name, failed.success, failed.crashed) == ("ratings are low", False, False)
    assert failed.sample == ({"rating": 9.0},)
    assert (crashed.name, crashed.success, crashed.crashed) == ("times are late", False, True)
    with pytest.raises(ValidationFailed, match="could not be evaluated"):
        outcome.raise_if_failed()
    assert "| crashed | times are late |" in outcome.to_markdown()


def test_a_fact_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="came out as nan"):
        judge_facts("facts", [Fact("the tau is high", float("nan"), least=0.5)])


def test_nothing_leaves_the_machine(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert judge_facts("facts", [Fact("all is well", 1, least=1)]).success
    assert capfd.readouterr() == ("", "")  # no progress bar either


class Page(HTMLParser):
    """Collects a page's text, links, and tags that are open."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text += data


def outcomes() -> list[Outcome]:
    bad = Fact("no film stands twice", 2, most=0, unit="films", sample=({"title": "<Heat>"}, {"title": "Alien & co"}))
    return [
        judge_facts("split integrity (holdout)", [Fact("nothing is lost", 0, most=0), bad]),
        judge_facts("submission", [Fact("every user has films", 5, least=5)]),
    ]


def test_data_docs_say_every_check_and_open_without_a_network(tmp_path: Path) -> None:
    index = write_data_docs(outcomes(), tmp_path / "docs")
    page = Page(index)
    assert not page.open
    for words in ("nothing is lost", "no film stands twice", "every user has films", "<Heat>", "Alien & co", "failed"):
        assert words in page.text
    assert len(page.links) == 2
    for link in page.links:
        own = Page(index.parent / link)
        assert "Evaluated Expectations" in own.text
        assert not re.search("https?:", (index.parent / link).read_text(encoding="utf-8"))
    assert "no film stands twice" in Page(index.parent / page.links[0]).text


def test_markdown_keeps_the_table_whole() -> None:
    text = judge_facts("facts", [Fact("a | b", "x|y\nz", one_of=("x",))]).to_markdown()
    assert r"| **FAILED** | a \| b | x | x\|y z |" in text
