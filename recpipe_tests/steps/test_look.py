"""The page of recommendations of a project that stands."""

import re

import numpy as np
import pytest

from recpipe.data.interactions import NEWCOMER
from recpipe.evaluation.ranking import rank
from recpipe.explaining.looking import people
from recpipe.explaining.reasons import PLACES, SUM
from recpipe.scoring.top import NO_FILM
from recpipe.steps.ensemble import film_features
from recpipe.steps.look import Wanted, look, looked
from recpipe.storage import Missing
from recpipe.yaml_files import SettingsError


def test_the_ensembles_members_are_shown_with_histories_hits_and_reasons(built):
    parts, ids = built.store.read("split", "holdout"), built.store.read("interactions").ids
    found = looked(built, Wanted(users=("7", "117")))
    assert list(found.lists) == ["ease", "mf", "ensemble"] and found.users == ["7", "117"]
    rows = ids.user_rows(["7", "117"])
    places = np.searchsorted(parts.test.targets.users, rows)
    for row, place in enumerate(places.tolist()):
        assert found.targets[row] == parts.test.targets.rows(np.array([place])).items.tolist()
    asked = parts.test.histories.rows(places)
    assert found.histories.items.tolist() == asked.items.tolist()  # validation is known by then
    scorer = built.store.read("trained_model", "ease|holdout").scorer
    ease = found.lists["ease"]
    assert ease.ranking.items.tolist() == rank(scorer, asked, 10).items.tolist()
    scores = scorer.scores(asked)
    for row, reasons in enumerate(ease.reasons):
        assert reasons.how == SUM
        told = [reason.score for reason in reasons.of]
        np.testing.assert_allclose(told, scores[row, ease.ranking.items[row]], rtol=1e-4)
    assert {reasons.how for reasons in found.lists["ensemble"].reasons} == {PLACES}
    hits = [[row.hit for row in person.columns[0].rows] for person in people(found, film_features(built))]
    assert hits == [[film in found.targets[row] for film in ease.ranking.items[row]] for row in range(2)]


def test_the_validation_part_is_shown_where_it_is_asked_for(built):
    parts = built.store.read("split", "holdout")
    found = looked(built, Wanted(users=("7",), models=("ease",), part="valid"))
    assert found.targets[0] == parts.valid.targets.rows(np.array([0])).items.tolist()
    assert found.histories.items.tolist() == parts.valid.histories.rows(np.array([0])).items.tolist()
    assert "validation part" in found.about[0] and "followed the validation part already" in found.about[1]


def test_users_are_drawn_by_the_seed_and_named_ones_come_first(built):
    def drawn(seed):
        return looked(built, Wanted(users=("57",), sample=4, seed=seed, models=("popularity",))).users

    assert drawn(1) == drawn(1) and drawn(1) != drawn(2)
    assert drawn(1)[0] == "57" and len(set(drawn(1))) == 5


def test_the_page_says_what_is_marked_and_that_looking_is_not_choosing(built):
    page = look(built, Wanted(sample=1))
    assert re.search(r"Split holdout \(digest [0-9a-f]{12}\): marked are films of its test part", page)
    assert "Looking is not choosing" in page
    assert "stale" not in page
    (built.conf / "models" / "ease.yaml").write_text("recipe: ease\nregularization: 99.0\n")
    assert "trained_model[ease|holdout] is stale (settings changed)" in look(built, Wanted(sample=1))


def test_on_a_split_that_hides_nothing_everything_is_known_and_nothing_is_marked(built):
    (refitted,) = built.store.need("ensemble").figures["used"]
    found = looked(built, Wanted(users=("7",), split="full", models=(refitted,)))
    assert found.targets == [[]] and found.histories.lengths.tolist() == [20]


def test_a_user_without_training_is_a_newcomer_whom_some_models_do_not_serve(built):
    parts = built.store.read("split", "holdout")
    part = parts.part.copy()
    part[parts.interactions.users == 0] = 5  # dropped
    dropped = type(parts)(parts.interactions, part, parts.reason, parts.reasons)
    record = built.store.need("split", "holdout")
    content = built.store.write("split", "holdout", dropped, record.made_from, record.figures).content
    for model in ("ease", "mf"):  # as if they had been trained on it
        trained = built.store.need("trained_model", f"{model}|holdout")
        made_from = {**trained.made_from, "split[holdout]": content}
        built.store.publish(type(trained)(**vars(trained) | {"made_from": made_from}))
    found = looked(built, Wanted(users=("7", "17")))
    assert found.histories.users[0] == NEWCOMER and found.histories.users[1] == 1
    assert found.lists["mf"].reasons[0] is None and found.lists["mf"].reasons[1] is not None
    assert (found.lists["mf"].ranking.items[0] == NO_FILM).all()
    assert found.lists["ease"].reasons[0].how == SUM


def test_what_cannot_be_looked_at_is_named(built):
    with pytest.raises(SettingsError, match="'8' is not in the data"):
        look(built, Wanted(users=("8",)))
    with pytest.raises(SettingsError, match="did you mean 'ease'"):
        look(built, Wanted(sample=1, models=("eese",)))
    with pytest.raises(SettingsError, match="nobody to look at"):
        look(built, Wanted())
    with pytest.raises(SettingsError, match="ensemble is chosen on the split holdout"):
        look(built, Wanted(sample=1, split="full", models=("ensemble",)))
    with pytest.raises(Missing, match=r"trained_model\[popularity\|full\] has not been made"):
        look(built, Wanted(sample=1, split="full", models=("popularity",)))
