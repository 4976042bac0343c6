"""A model's YAML gets new values and a new telling; whatever else stands in it stays."""

import pytest
import yaml

from recpipe.search.yaml_of_model import rewritten
from recpipe_tests.settings_for_tests import CONF

OLD = """\
# Ours, for the spring campaign.
recipe: ease
# Best of nine by validation NDCG@10: 0.25.
# Another line of it.
regularization: 250.0   # large
# damping is of the paper
damping: 0.5
"""


def test_values_change_the_old_telling_goes_and_other_comments_stay():
    made = rewritten(OLD, {"regularization": 180.0, "half_life": None}, "Searched: 0.26.")
    assert made == (
        "# Ours, for the spring campaign.\nrecipe: ease\n# Searched: 0.26.\nregularization: 180.0   # large\n"
        "# damping is of the paper\ndamping: 0.5\nhalf_life: null\n"
    )


def test_a_long_telling_is_broken_into_lines_of_the_house():
    made = rewritten(OLD, {"damping": 0.1}, "word " * 100)
    assert max(map(len, made.splitlines())) <= 120
    assert made.count("word") == 100


@pytest.mark.parametrize("value", [1e-05, 0.0, 12, True, None, "text: odd # one", [600, 200], []])
def test_every_kind_of_value_comes_back(value):
    assert yaml.safe_load(rewritten(OLD, {"damping": value}, "t"))["damping"] == value


def test_a_value_over_several_lines_is_refused_with_what_to_set():
    text = "recipe: a\nlayers:\n  - 1\n  - 2\nalpha: 1\n"
    with pytest.raises(ValueError, match=r"cannot be changed line by line; set \{layers: \[3\]\} by hand"):
        rewritten(text, {"layers": [3]}, "t")
    assert yaml.safe_load(rewritten(text, {"alpha": 2}, "t")) == {"recipe": "a", "layers": [1, 2], "alpha": 2}


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_yaml_can_be_written_with_one_telling(path):
    text = path.read_text(encoding="utf-8")
    made = rewritten(text, {}, "Searched.")
    assert yaml.safe_load(made) == yaml.safe_load(text)
    assert [line for line in made.splitlines() if line.startswith("#")] == ["# Searched."]
