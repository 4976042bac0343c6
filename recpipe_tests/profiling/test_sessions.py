import pytest

from recpipe.profiling.sessions import Sessions, session_starts
from recpipe_tests.profiling.tiny import DAY, EVENTS, MINUTE, interactions


def test_sessions_of_the_tiny_world():
    sessions = Sessions.of(interactions(EVENTS))
    assert sessions.sessions == 4
    assert sessions.single == pytest.approx(2 / 3)
    assert (sessions.events["most"], sessions.events["least"]) == (3, 1)
    assert sessions.minutes["most"] == 20
    assert sessions.of_a_user["most"] == 2
    assert sessions.days_between["median"] == pytest.approx(10 - MINUTE / DAY)
    assert sessions.largest["least"] == 0.75 and sessions.largest["median"] == 1
    assert sessions.tied == pytest.approx(2 / 7)
    assert sessions.gaps == {
        "none": 0.25, "up to 1 minute": 0.25, "up to 30 minutes": 0.25, "up to 1 day": 0.0, "up to 30 days": 0.25,
        "more": 0.0,
    }  # fmt: skip
    assert sessions.by_pause == {"10 minutes": 5, "30 minutes": 4, "2 hours": 4, "1 day": 4}


def test_a_pause_just_as_long_as_allowed_does_not_end_a_session():
    events = interactions([(0, 0, 0), (0, 1, 100), (0, 2, 201)])
    assert session_starts(events, 100).tolist() == [0, 2]


def test_a_user_that_follows_at_once_begins_a_session_of_their_own():
    events = interactions([(0, 0, 0), (1, 0, 0)])
    assert session_starts(events, 100).tolist() == [0, 1]
    assert Sessions.of(events).tied == 0.0


def test_one_interaction_is_one_session():
    sessions = Sessions.of(interactions([(0, 0, 0)]))
    assert (sessions.sessions, sessions.single, sessions.tied, sessions.days_between) == (1, 1.0, 0.0, {})
