"""Data Docs: what the suites found, as pages that open without a network.

The index says every check as a sentence; behind each suite stands what Great Expectations renders of its results,
without the frame of its pages, which would fetch scripts, style sheets and pictures from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from recpipe.storage import replace_text
from recpipe.validation.engine import great_expectations
from recpipe.validation.outcome import Check, Outcome

INDEX = "index.html"


def write_data_docs(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """Write `index.html` and a page for each document of each suite; the path of the index comes back."""
    sections = []
    for outcome in outcomes:
        links = []
        for number, document in enumerate(outcome.documents, start=1):
            page = f"{re.sub(r'[^a-z0-9]+', '-', outcome.suite.lower()).strip('-')}-{number}.html"
            replace_text(folder / page, _own_page(document))
            links.append(f'<a href="{page}">Great Expectations’ page {number}</a>')
        sections.append(_section(outcome, links))
    html = _PAGE.format(title="Data Docs", body="\n".join(sections), style=_STYLE)
    replace_text(folder / INDEX, html)
    return folder / INDEX


def _section(outcome: Outcome, links: list[str]) -> str:
    state = "passed" if outcome.success else "failed"
    rows = "\n".join(_row(check) for check in outcome.checks)
    head = "<tr><th></th><th>check</th><th>wanted</th><th>seen</th></tr>"
    title = f'<h2>{escape(outcome.suite)} <span class="{state}">{state}</span></h2>'
    return f"<section>{title}<table>{head}{rows}</table><p>{' · '.join(links)}</p></section>"


def _row(check: Check) -> str:
    state = "crashed" if check.crashed else "passed" if check.success else "failed"
    cells = "".join(f"<td>{escape(text)}</td>" for text in (check.name, check.expected, check.observed))
    row = f'<tr><td class="{state}">{state}</td>{cells}</tr>'
    return row + (f'<tr><td></td><td colspan="3">{_sample(check)}</td></tr>' if check.sample else "")


def _sample(check: Check) -> str:
    columns = list(check.sample[0])
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    rows = ("".join(f"<td>{escape(str(row.get(column, '')))}</td>" for column in columns) for row in check.sample)
    return f'<table class="sample"><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def _own_page(document: Any) -> str:
    great_expectations()
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaSectionView

    view = DefaultJinjaSectionView()
    sections = ValidationResultsPageRenderer().render(document).sections
    body = "".join(
        view.render({"section": section.to_json_dict(), "section_loop": {"index": number}})
        for number, section in enumerate(sections, start=1)
    )
    body = re.sub(r"</?a\b[^>]*>", "", body)  # they lead to pages of a project folder that does not exist
    return _PAGE.format(title=escape(str(document.suite_name)), body=body, style=_STYLE)


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
table.sample { width: auto; font-size: 13px; background: #f7f7f7; }
.passed, .failed, .crashed { font-weight: 600; } .passed { color: #17703b; } .failed, .crashed { color: #b3261e; }
.text-success::before { content: "✓"; color: #17703b; } .text-danger::before { content: "✗"; color: #b3261e; }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""
