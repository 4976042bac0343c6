"""News reach whoever listens, and nobody else."""

import pytest

from recpipe.progress import duration, epoch_in_words, listening, tell


def test_news_reach_every_listener_inside_its_context_only():
    outer, inner = [], []
    with listening(outer.append):
        tell(event="one")
        with listening(inner.append):
            tell(event="two")
        tell(event="three")
    tell(event="four")
    assert [news["event"] for news in outer] == ["one", "two", "three"]
    assert [news["event"] for news in inner] == ["two"]


def test_an_epoch_is_told_with_all_that_is_known_of_it():
    row = {"epoch": 3, "epochs": 300, "loss": 0.5, "valid": 0.25, "seconds_left": 41.2, "peak_memory_mb": 1612.0}
    words = "epoch 3 of at most 300, loss 0.5000, validation 0.2500, at most 41 s left, 1,612 MiB"
    assert epoch_in_words(row) == words
    assert epoch_in_words({"epoch": 3, "loss": 0.5, "valid": None}) == "epoch 3, loss 0.5000"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.96, "10 s"), (89, "89 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_a_duration_is_told_in_the_unit_that_suits(seconds, words):
    assert duration(seconds) == words
