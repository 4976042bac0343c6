"""The generated world has the shape that the models need: long tail, tastes, order, releases, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recpipe.data.interactions import Interactions
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import Prepared, prepare
from recpipe.data.readers import RawTables, read, recognise
from recpipe.data.sample import write_sample
from recpipe.data.sample_viewing import OPENING, _evenings, longest
from recpipe.storage import content_digest

SMALL = {"users": 80, "items": 100, "events": 2400}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> RawTables:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    assert recognise(folder).layout == "competition"
    return read(folder)


@pytest.fixture(scope="module")
def prepared(world: RawTables) -> Prepared:
    return prepare(world.ratings, Preparation())


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        write_sample(tmp_path / name, seed=seed, **SMALL)
    one, two, three = (content_digest(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != three


def test_writing_again_replaces_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "old").write_text("")
    write_sample(tmp_path, **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train"]
    assert not (tmp_path / "train" / "old").exists()


def test_writing_the_same_again_touches_nothing_that_another_may_read(tmp_path: Path) -> None:
    write_sample(tmp_path, **SMALL)
    files = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    write_sample(tmp_path, **SMALL)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == files


def test_the_numbers_are_those_asked_for(prepared: Prepared) -> None:
    events = prepared.interactions
    assert len(events) == 150_000 and events.n_users == 2000 and 1150 < events.n_items <= 1200
    assert np.diff(events.offsets).min() >= 20
    pairs = events.users.astype(np.int64) * events.n_items + events.items
    assert len(np.unique(pairs)) == len(pairs), "nobody watches a film twice"
    assert int(np.diff(prepared.ids.users.to_numpy()).max()) > 1, "raw ids have gaps"


def test_nobody_watches_a_film_before_its_release(world: RawTables, prepared: Prepared) -> None:
    released = np.zeros(prepared.ids.n_items, dtype=np.int64)
    rows = prepared.ids.item_rows(world.years["item"])
    released[rows[rows >= 0]] = world.years["year"].to_numpy()[rows >= 0]
    watched = prepared.interactions.times.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    assert (watched >= released[prepared.interactions.items]).all()
    assert (released >= watched.min()).sum() > 100, "there are new films to be had"


def test_some_values_are_missing_and_no_film_is_lost(world: RawTables) -> None:
    assert len(set(world.titles["title"].to_pylist())) == 1200
    for side in ("years", "genres", "directors", "writers"):
        films = len(getattr(world, side)["item"].unique())
        assert 900 < films < 1200, side


def test_popularity_has_a_long_tail(prepared: Prepared) -> None:
    counts = np.sort(prepared.interactions.item_counts())[::-1]
    assert counts[:120].sum() > 0.33 * counts.sum()
    assert counts[600:].sum() < 0.25 * counts.sum()


def test_films_come_in_evenings(prepared: Prepared) -> None:
    events = prepared.interactions
    gaps = np.diff(events.times)[np.diff(events.users) == 0]
    assert gaps.min() > 0
    assert 0.3 < (gaps < 4 * 3600).mean() < 0.8 and (gaps > 86_400 * 0.5).mean() > 0.2


def recall_at_10(scores: np.ndarray, known: Interactions, hidden: np.ndarray) -> float:
    scores = np.where(known.matrix().toarray() > 0, -np.inf, scores)
    return float((np.argsort(-scores, axis=1)[:, :10] == hidden[:, None]).any(axis=1).mean())


def test_tastes_and_order_can_be_learned(prepared: Prepared) -> None:
    """Similar films beat popularity by far, and what followed the last film says something that tastes do not."""
    events = prepared.interactions
    last = events.offsets[1:] - 1
    hidden = events.items[last]
    known = events.take(np.setdiff1d(np.arange(len(events)), last))
    matrix = known.matrix()
    counts = known.item_counts()
    together = (matrix.T @ matrix).toarray()
    np.fill_diagonal(together, 0)
    cosine = together / np.sqrt(np.maximum(np.outer(counts, counts), 1))

    popularity = recall_at_10(np.tile(counts.astype(float), (events.n_users, 1)), known, hidden)
    similar = recall_at_10(matrix @ cosine, known, hidden)
    assert similar > 2 * popularity

    follows = np.zeros_like(cosine)
    same_user = np.diff(known.users) == 0
    np.add.at(follows, (known.items[:-1][same_user], known.items[1:][same_user]), 1)
    newest = known.items[known.offsets[1:] - 1]
    tastes = matrix @ cosine
    ordered = recall_at_10(tastes / tastes.std() + np.log1p(follows[newest]), known, hidden)
    assert ordered > 1.2 * similar


def test_worlds_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 60 films"):
        write_sample(tmp_path, users=10, items=30, events=300)
    with pytest.raises(ValueError, match="allow 2000 to 4050 events; 100 were asked for"):
        write_sample(tmp_path, users=100, items=100, events=100)
    with pytest.raises(ValueError, match="allow 20 to 2700 events; 4000 were asked for"):
        write_sample(tmp_path, users=1, items=10_000, events=4000)


def test_the_longest_histories_are_in_the_order_of_time() -> None:
    times = _evenings(np.full(20, longest(10_000)), np.random.default_rng(0))
    assert (np.diff(times) > 0).all() and times.min() >= OPENING
