"""How news of the work become lines of Dagster's log."""

from types import SimpleNamespace

from recpipe.progress import tell


def test_where_a_line_takes_long_a_minute_goes_by_without_lines(project, planner, monkeypatch):
    from recpipe.defs import io

    lines = []
    clock = iter([0.0, 11.0, 20.0, 80.0, 80.1, 80.2, 80.3])  # a line looks at it before and after, an omitted one once
    monkeypatch.setattr(io, "monotonic", lambda: next(clock))
    with io.logged(SimpleNamespace(log=SimpleNamespace(info=lines.append))):
        for epoch in range(1, 5):
            tell(epoch=epoch, loss=0.5)
    assert lines == ["epoch 1, loss 0.5", "epoch 3, loss 0.5", "epoch 4, loss 0.5"]
