"""What is searched: every model has a space that holds its settings, and what was drawn is what is tried."""

import optuna
import pytest

from recpipe.models.autoencoders.multi_vae import MultiVae
from recpipe.models.catalog import recipe_modules
from recpipe.models.factors.mf import Mf
from recpipe.models.linear.ease import Ease
from recpipe.models.neighbours.item_knn import ItemKnn
from recpipe.models.sequences.gru4rec import Gru4rec
from recpipe.search.dimensions import Choices, Range, When, by_setting
from recpipe.search.ranges import AS_THEY_ARE, OF_RECIPE, RANGES
from recpipe.search.space import Space, tabled
from recpipe.vocabulary import VOCABULARY
from recpipe_tests.settings_for_tests import model_names, recipe_of

FINER = Range(low=0, high=3, also=(0,))


def drawn(space, trials=40, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.suggested(study.ask()) for _ in range(trials)]


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_space_and_the_tables_hold_its_settings(name):
    recipe = recipe_of(name)
    space = Space.of(recipe)
    settings = recipe.model_dump(mode="json")
    outside = {
        setting: settings[setting]
        for setting, dimension in tabled(recipe).items()
        if dimension is not None and setting in space.shipped and not dimension.contains(settings[setting])
    }
    assert space.shipped
    assert outside == {}


@pytest.mark.parametrize("name", model_names())
def test_every_drawn_setting_is_one_that_the_recipe_takes(name):
    space = Space.of(recipe_of(name))
    for settings in drawn(space, trials=15):
        taken = space.recipe_with(settings).model_dump(mode="json")
        assert {setting: taken[setting] for setting in settings} == settings


def test_every_word_is_searched_or_has_a_reason_why_not():
    by_recipe = {word for words in OF_RECIPE.values() for word in words}
    assert set(VOCABULARY) - set(RANGES) - by_recipe - set(AS_THEY_ARE) == set()
    assert set(AS_THEY_ARE) & (set(RANGES) | by_recipe) == set()
    assert set(OF_RECIPE) - set(recipe_modules()) == set()


@pytest.mark.parametrize("regularization", [7.123456, 123.456, 6000.0])
def test_the_settings_of_now_are_tried_to_the_last_digit_and_widen_the_range(regularization):
    space = Space.of(Ease(regularization=regularization, damping=0.5, half_life=None))
    study = optuna.create_study()
    study.enqueue_trial(space.params(space.shipped))
    assert space.suggested(study.ask()) == {"regularization": regularization, "damping": 0.5, "half_life": None}


def test_a_range_is_told_without_what_the_settings_of_now_add_and_a_list_with_it():
    given = Space.of(Mf(weight_decay=1.0, embedding_size=64)).told()
    assert Space.of(Mf(weight_decay=50.0, embedding_size=64)).told() == given
    assert given["weight_decay"]["high"] == 10.0
    assert Space.of(Mf(weight_decay=1.0, embedding_size=100)).told() != given  # Optuna takes one list a study


def test_drawn_numbers_have_three_digits_and_values_beside_the_range_are_drawn_too():
    found = drawn(Space.of(Ease(regularization=250.0)))
    assert all(float(f"{settings['regularization']:.3g}") == settings["regularization"] for settings in found)
    half_lives = {settings["half_life"] for settings in found}
    assert None in half_lives
    assert len(half_lives) > 5


def test_a_setting_that_does_not_matter_is_not_drawn():
    assert "alpha" not in Space.of(ItemKnn(similarity="cosine")).shipped
    assert "alpha" in Space.of(ItemKnn(similarity="asymmetric_cosine")).shipped
    space = Space.of(Gru4rec(), {"loss": Choices(choices=("cross_entropy", "bpr", "bpr_max"))})
    for settings in drawn(space):
        assert ("regularization" in settings) == (settings["loss"] == "bpr_max")
        assert ("negatives" in settings) == (settings["loss"] != "cross_entropy")


def test_a_project_may_change_add_and_take_away_dimensions():
    own = {"regularization": Range(low=1, high=9), "damping": None, "half_life": None}
    space = Space.of(Ease(regularization=5.0), own)
    assert set(space.dimensions) == {"regularization"}
    assert all(1 <= settings["regularization"] <= 9 for settings in drawn(space))


@pytest.mark.parametrize("weight_decay", [0.0, 0.7, 3.0])
def test_whole_numbers_are_decimals_where_the_setting_is_one(weight_decay):
    space = Space.of(MultiVae(weight_decay=weight_decay), {"weight_decay": FINER, "dropout": Choices(choices=(0, 0.5))})
    study = optuna.create_study()
    study.enqueue_trial(space.params(space.shipped))
    assert space.suggested(study.ask()) == space.shipped
    assert space.shipped["weight_decay"] == weight_decay
    found = {settings["weight_decay"] for settings in drawn(space)}
    assert len(found - {0.0, 1.0, 2.0, 3.0}) > 5


def test_decimals_are_whole_numbers_where_the_setting_is_one():
    space = Space.of(ItemKnn(), {"neighbours": Range(low=10.0, high=20.0)})
    assert {type(settings["neighbours"]) for settings in drawn(space)} == {int}


def test_a_space_of_nothing_and_a_misspelt_setting_say_what_to_do():
    nothing = dict.fromkeys(("regularization", "damping", "half_life"))
    with pytest.raises(ValueError, match=r"ease has no setting to search: give one a range under `spaces` in conf"):
        Space.of(Ease(), nothing)
    with pytest.raises(ValueError, match=r"ease has no setting 'layers'.*it has: regularization, damping"):
        Space.of(Ease(), {"layers": Range(low=1, high=3)})
    with pytest.raises(ValueError, match=r"ease has no setting 'loss'"):
        Space.of(Ease(), {"damping": Range(low=0.0, high=1.0, when=When(setting="loss", among=("bpr",)))})
    with pytest.raises(ValueError, match=r"neighbours is never 0.5, which is to be searched: .* integer"):
        Space.of(ItemKnn(), {"neighbours": Range(low=0.5, high=20.0)})
    with pytest.raises(ValueError, match="are no range"):
        Range(low=0.0, high=1.0, log=True)


def test_a_condition_holds_for_values_of_the_settings_of_now():
    when = When(setting="precision", among=("float32",))
    own = {"damping": Range(low=0.0, high=1.0, when=when)}
    assert "damping" not in Space.of(Ease(), own).shipped
    assert "damping" in Space.of(Ease(precision="float32"), own).shipped


def test_shares_of_parameters_are_told_by_setting():
    params = Range(low=1.0, high=2.0, also=(None,)).params("half_life", 1.5)
    shares = dict.fromkeys(params, 0.3) | {"damping": 0.4}
    assert by_setting(shares) == {"half_life": 0.6, "damping": 0.4}
