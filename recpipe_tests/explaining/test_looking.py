import numpy as np
import pytest

from recpipe.data.features import Bag, ItemFeatures
from recpipe.data.interactions import NEWCOMER, Histories
from recpipe.evaluation.ranking import Ranking
from recpipe.explaining.looking import WATCHED, Listed, Looked, html, people
from recpipe.explaining.reasons import NOTHING, PLACES, SUM, Part, Reason, Reasons
from recpipe.scoring.top import NO_FILM

DAY = 86_400
FILMS = ItemFeatures(
    ("Alien (1979)", "<b>Brazil</b>", "Clue", "Diva", *(f"Film {number}" for number in range(4, 40))),
    np.array([1979, 1985, 0, 1981, *[2000] * 36], dtype=np.int32),
    {"genres": Bag.from_lists([["horror", "sci-fi"], ["sci-fi"], [], [], *[[]] * 36])},
)


def histories(*films: list[int]) -> Histories:
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in films])))
    items = np.array([film for each in films for film in each], dtype=np.int32)
    times = DAY * np.concatenate([np.arange(len(each)) for each in films])
    return Histories(np.array([0, NEWCOMER], dtype=np.int32), offsets, items, times.astype(np.int64), None, 40)


def ranked(*films: list[int]) -> Ranking:
    return Ranking(np.array(films, dtype=np.int32), np.zeros((len(films), len(films[0])), np.float32))


@pytest.fixture
def looked() -> Looked:
    summed = Reason((Part(0.5, (0,)), Part(0.25, (1, 3))), 2, -0.125, 0.0625, 0.6875)
    return Looked(
        users=["7", "<i>8"],
        histories=histories([0, 3], list(range(4, 30))),
        targets=[[1, 2], []],
        lists={
            "linear": Listed(ranked([2, 1], [0, NO_FILM]), [Reasons(SUM, (Reason(), summed)), Reasons(NOTHING)]),
            "known": Listed(
                ranked([1, 3], [NO_FILM, NO_FILM]),
                [Reasons(PLACES, (Reason((Part(2, label="linear"),)), Reason())), None],
            ),
        },
        about=["split holdout, <test> part"],
    )


def test_hits_are_marked_and_counted_and_hidden_films_tell_who_found_them(looked):
    first, second = people(looked, FILMS)
    linear, known = first.columns
    assert [row.hit for row in linear.rows] == [True, True] and linear.hits == 2
    assert [row.hit for row in known.rows] == [True, False] and known.hits == 1
    assert [(film.title, models) for film, models in first.hidden] == [
        ("<b>Brazil</b>", "linear, known"), ("Clue", "linear")
    ]  # fmt: skip
    assert second.hidden == () and [row.hit for row in second.columns[0].rows] == [False]


def test_reasons_are_told_with_titles_and_their_sum(looked):
    linear, known = people(looked, FILMS)[0].columns
    assert linear.rows[0].why == () and linear.rows[0].total == ""
    assert linear.rows[1].why == ("+0.5 Alien (1979)", "+0.25 <b>Brazil</b> and Diva")
    assert linear.rows[1].total == "−0.125 from 2 others +0.0625 in any case = 0.6875"
    assert known.rows[0].why == ("linear: 2",) and known.rows[0].total == ""


def test_the_latest_films_come_first_and_no_more_than_fit(looked):
    first, second = people(looked, FILMS)
    assert [(film.title, film.year, film.genres, film.day) for film in first.watched] == [
        ("Diva", "1981", "", "1970-01-02"),
        ("Alien (1979)", "", "horror, sci-fi", "1970-01-01"),  # the title says the year already
    ]
    assert len(second.watched) == WATCHED and second.n_watched == 26
    assert second.watched[0].title == "Film 29"


def test_a_model_that_does_not_serve_the_user_says_so(looked):
    column = people(looked, FILMS)[1].columns[1]
    assert column.rows is None and "has not seen the user" in column.how


def test_the_page_stands_alone_and_escapes_every_text(looked):
    page = html(looked, FILMS)
    assert "<script" not in page and "http" not in page
    assert "<b>Brazil" not in page and page.count("&lt;b&gt;Brazil&lt;/b&gt;") >= 3
    assert "User &lt;i&gt;8" in page and "&lt;test&gt; part" in page
    assert page.count('class="hit"') == 3
    assert "the latest 20 of 26" in page and "No film of this user is hidden here" in page
