"""News reach whoever listens, and nobody else."""

from recpipe.progress import listening, tell


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
