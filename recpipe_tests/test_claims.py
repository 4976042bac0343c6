"""Room for a fit: refused where there can be none, waited for while others have it, held and given back."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace

import psutil
import pytest

from recpipe import claims
from recpipe.claims import Claim, TooLarge, Wanted, claimed
from recpipe.costs import Shape
from recpipe.models.factors.mf import Mf
from recpipe.models.linear.ease import Ease
from recpipe.progress import listening
from recpipe_tests.worlds import general

BIG = 10**15
"""More than any machine has."""


@pytest.fixture
def waits(monkeypatch):
    """In place of waiting, what a test says happens meanwhile; `news` is what was told."""

    class Waits:
        def __init__(self):
            self.news, self.meanwhile = [], []

        def sleep(self, _):
            self.meanwhile.pop(0)()

    with listening(lambda news: told.news.append(news["what"])):
        told = Waits()
        monkeypatch.setattr(claims.time, "sleep", told.sleep)
        yield told


def own_claim(**changes):
    process = psutil.Process()
    own = Claim("other", 60, None, os.getpid(), process.create_time(), process.memory_info().rss)
    return replace(own, **changes)


def write(folder, claim):
    folder.mkdir(exist_ok=True)
    (folder / "other.json").write_text(json.dumps(asdict(claim)))


def held(folder):
    return sorted(json.loads(path.read_text())["what"] for path in folder.glob("*.json"))


def test_a_claim_lasts_as_long_as_the_work_even_where_that_fails(tmp_path):
    with claimed(Wanted("ease", 10), None, tmp_path) as gpu:
        assert gpu is None
        assert held(tmp_path) == ["ease"]
    with pytest.raises(ZeroDivisionError), claimed(Wanted("ease", 10), None, tmp_path):
        raise ZeroDivisionError
    assert held(tmp_path) == []


@pytest.mark.parametrize("with_folder", [True, False])
def test_what_can_never_fit_is_refused_with_what_to_set(tmp_path, with_folder):
    folder = tmp_path if with_folder else None
    wanted = Wanted("ease", BIG, hint="set precision: float32")
    with pytest.raises(TooLarge, match=r"ease: about 931322\.6 GiB of memory are wanted, and .* are free: set prec"):
        claimed(wanted, None, folder).__enter__()
    with pytest.raises(TooLarge, match=r"about 101 bytes .* and 100 bytes may be taken \(memory_limit in conf/run"):
        claimed(replace(wanted, memory=101), 100, folder).__enter__()
    assert held(tmp_path) == []


def test_the_claim_of_a_process_that_is_dead_and_not_reaped_counts_no_more(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    born = psutil.Process(child.pid).create_time()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    try:
        write(tmp_path, own_claim(pid=child.pid, born=born, memory=BIG))
        with claimed(Wanted("ease", 10), BIG, tmp_path):
            assert held(tmp_path) == ["ease"]
    finally:
        child.wait()


def test_a_claim_that_is_given_back_during_a_look_is_none(tmp_path, monkeypatch):
    write(tmp_path, own_claim(memory=BIG))
    found = [tmp_path / "gone.json", tmp_path / "other.json"]
    monkeypatch.setattr(type(tmp_path), "glob", lambda path, pattern: iter(found))
    assert [claim.what for claim, _ in claims._living(tmp_path)] == ["other"]


def test_a_refusal_is_no_memory_error_that_would_be_tried_again():
    assert not issubclass(TooLarge, MemoryError | OSError)


def test_who_does_not_fit_beside_another_waits_for_it_and_says_so_once(tmp_path, waits):
    with ExitStack() as other, claimed(Wanted("small", 10), 100, tmp_path):
        other.enter_context(claimed(Wanted("ease", 60), 100, tmp_path))
        waits.meanwhile = [lambda: None, other.close]
        with claimed(Wanted("mf", 50), 100, tmp_path):
            assert held(tmp_path) == ["mf", "small"]
    assert waits.meanwhile == []
    assert len(waits.news) == 1
    assert f"ease (process {os.getpid()}, 60 bytes)" in waits.news[0]
    assert waits.news[0].startswith("mf waits for ")
    assert waits.news[0].endswith("it wants 50 bytes, 30 bytes are left")


def test_of_free_memory_what_others_claimed_and_have_not_taken_is_theirs(tmp_path, waits, monkeypatch):
    monkeypatch.setattr(claims, "free_memory", lambda: 100)
    write(tmp_path, own_claim(memory=60, resident=BIG))  # it has taken nothing yet
    waits.meanwhile = [(tmp_path / "other.json").unlink]
    with claimed(Wanted("mf", 50), None, tmp_path):
        assert waits.meanwhile == []
    write(tmp_path, own_claim(memory=60, resident=0))  # it has taken all of it: what is free is free
    with claimed(Wanted("mf", 50), None, tmp_path):
        assert held(tmp_path) == ["mf", "other"]


def test_claims_of_processes_that_are_gone_count_no_more(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for claim in (own_claim(pid=gone.pid), own_claim(born=psutil.Process().create_time() - 100)):
        write(tmp_path, claim)
        with claimed(Wanted("mf", 50), 100, tmp_path):
            assert held(tmp_path) == ["mf"]


def test_another_process_is_waited_for_until_it_is_killed(tmp_path, waits):
    code = (
        "import sys; from pathlib import Path; from recpipe.claims import *\n"
        "with claimed(Wanted('ease', 60), 100, Path(sys.argv[1])):\n    print('holds it', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"holds it\n"

        def kill():
            other.kill()
            other.wait()

        waits.meanwhile = [kill]
        with claimed(Wanted("mf", 50), 100, tmp_path):
            assert held(tmp_path) == ["mf"]
    assert f"ease (process {other.pid}, 60 bytes)" in waits.news[0]


def test_what_lies_on_a_gpu_is_not_wanted_of_the_machine_and_only_by_what_torch_learns():
    train = general().train
    on_cpu, on_gpu = (Wanted.by(Mf(), train, device) for device in ("cpu", "cuda"))
    cost, vectors = Mf().cost(Shape.of(train.interactions)), 4 * 64 * (train.n_users + train.n_items)
    assert on_cpu == Wanted("mf", cost.memory, 0, Mf.memory_hint)
    assert on_gpu.on_gpu > vectors
    assert cost.copied >= 4 * vectors  # of a checkpoint: weights, best weights and two moments
    assert on_gpu.memory == on_cpu.memory - on_gpu.on_gpu + cost.copied + claims.CUDA_LIBRARIES
    assert Wanted.by(Ease(), train, "cuda") == Wanted.by(Ease(), train, "cpu")


def test_as_many_hold_a_gpu_as_there_are_and_each_its_own(tmp_path, waits):
    wanted = Wanted("sasrec", 1, on_gpu=10)
    with ExitStack() as first, claimed(Wanted("ease", 1), None, tmp_path) as none:
        assert none is None
        assert first.enter_context(claimed(wanted, None, tmp_path, gpus=(20, 20))) == 0
        with claimed(wanted, None, tmp_path, gpus=(20, 20)) as second:
            assert second == 1
            waits.meanwhile = [first.close]
            with claimed(wanted, None, tmp_path, gpus=(20, 20)) as third:
                assert third == 0
    assert waits.news[0].endswith("and a GPU")


def test_a_gpu_that_is_too_small_is_not_taken_and_where_all_are_the_fit_is_refused(tmp_path):
    with claimed(Wanted("sasrec", 1, on_gpu=10), None, tmp_path, gpus=(9, 10)) as gpu:
        assert gpu == 1
    with pytest.raises(TooLarge, match="about 11 bytes of GPU memory are wanted, and 10 bytes one has: fewer"):
        claimed(Wanted("sasrec", 1, on_gpu=11, hint="fewer"), None, tmp_path, gpus=(9, 10)).__enter__()
