"""Seconds and memory of a piece of work."""

import time

import numpy as np

from recpipe.measuring import Measured, cgroup_rooms, free_memory


def test_memory_at_the_peak_is_seen_though_it_is_given_back():
    with Measured() as measured:
        block = np.ones(12_000_000)  # 96 MB
        time.sleep(0.2)
        del block
    assert 80 < measured.peak_memory_mb < 200
    assert measured.seconds >= 0.2
    assert measured.cpu_seconds < measured.seconds + 1


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_the_limit_of_a_group_or_of_one_above_it_bounds_what_is_left(tmp_path):
    mounted, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    assert cgroup_rooms(mounted, own) == []
    group(mounted / "outer", memory__max=1000, memory__current=400, memory__stat="anon 5\ninactive_file 100")
    group(mounted / "outer" / "inner", memory__max="max", memory__current=300, memory__stat="inactive_file 0")
    assert cgroup_rooms(mounted, own) == [700]
    group(mounted / "outer" / "inner", memory__max=200)
    assert cgroup_rooms(mounted, own) == [0, 700]


def test_limits_of_the_older_version_are_read_too_also_where_the_own_group_cannot_be_seen(tmp_path):
    mounted, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
    files = {"memory__limit_in_bytes": 5000, "memory__usage_in_bytes": 4000, "memory__stat": "total_inactive_file 10"}
    group(mounted / "memory", **files)
    assert cgroup_rooms(mounted, own) == [1010]
    assert cgroup_rooms(mounted, tmp_path / "no file, as outside Linux") == []


def test_free_memory_is_at_most_what_a_limit_leaves(monkeypatch):
    assert free_memory() > 0
    monkeypatch.setattr("recpipe.measuring.cgroup_rooms", lambda: [7])
    assert free_memory() == 7
