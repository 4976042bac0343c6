"""One file that is there whole or not at all, and when it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from recpipe.training import checkpoint
from recpipe.training.checkpoint import Keeper, Unusable, read, write

TENSORS = {
    "weights": torch.tensor([[1.0, -0.0], [torch.nan, 3.0]]),
    "steps": torch.tensor(7, dtype=torch.int64),
    "mask": torch.tensor([True, False]),
    "halves": torch.tensor([0.5, 0.1], dtype=torch.bfloat16),
    "none": torch.empty(0),
}
TOLD = {"epoch": 3, "numbers": {"state": 2**127 + 1, "kind": "PCG64"}, "told": [{"valid": None, "loss": 0.1 + 0.2}]}


def test_every_kind_of_tensor_and_whole_numbers_beyond_64_bits_come_back(tmp_path: Path) -> None:
    write(tmp_path / "new" / "one", TENSORS, TOLD)
    tensors, told = read(tmp_path / "new" / "one")
    assert told == TOLD
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert tensor.shape == TENSORS[name].shape
        assert tensor.reshape(-1).view(torch.uint8).tolist() == TENSORS[name].reshape(-1).view(torch.uint8).tolist()


def test_tensors_that_share_memory_or_are_views_are_kept_each(tmp_path: Path) -> None:
    square = torch.arange(4.0).reshape(2, 2)
    write(tmp_path / "one", {"turned": square.T, "row": square[1], "again": square[1]}, {})
    tensors, _ = read(tmp_path / "one")
    assert tensors["turned"].tolist() == [[0, 2], [1, 3]]
    assert tensors["row"].tolist() == tensors["again"].tolist() == [2, 3]


def test_what_lies_apart_is_written_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, torch.Tensor] = {}
    save_file = checkpoint.save_file

    def seen(tensors: dict[str, torch.Tensor], *rest: Any) -> None:
        written.update(tensors)
        save_file(tensors, *rest)

    monkeypatch.setattr(checkpoint, "save_file", seen)
    weights, moments = torch.nn.Parameter(torch.ones(3, 2)), torch.zeros(3, 2)
    write(tmp_path / "one", {"weights": weights, "tied": weights, "moments": moments}, {})
    assert written["weights"].data_ptr() == weights.data_ptr()
    assert written["moments"].data_ptr() == moments.data_ptr()
    assert written["tied"].data_ptr() != weights.data_ptr()


def test_a_kill_in_the_middle_of_writing_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "one", TENSORS, TOLD)

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "fsync", killed)
        write(tmp_path / "one", TENSORS, TOLD | {"epoch": 4})
    assert read(tmp_path / "one")[1]["epoch"] == 3
    write(tmp_path / "one", TENSORS, TOLD | {"epoch": 5})
    assert read(tmp_path / "one")[1]["epoch"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_file_that_lost_its_end_or_a_bit_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write(path, TENSORS, TOLD)
    whole = path.read_bytes()
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(Unusable):
            read(path)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Unusable):
            read(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("{}")
    with pytest.raises(Unusable):
        read(tmp_path / "one")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_checkpoint_is_due_when_the_time_since_the_last_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)
    keeper = Keeper(tmp_path / "one", "this", every=60.0, _written=clock.now)
    due = []
    for second in range(200):
        clock.now = float(second)
        if keeper.is_due():
            due.append(second)
            keeper.keep(TENSORS, TOLD)
    assert due == [60, 120, 180]


def test_checkpoints_that_take_long_come_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)

    def slow(*_: object) -> None:
        clock.now += 10.0

    monkeypatch.setattr(checkpoint, "write", slow)
    keeper = Keeper(tmp_path / "one", "this", every=5.0, _written=clock.now)
    spent = 0.0
    while clock.now < 10_000:
        if keeper.is_due():
            keeper.keep(TENSORS, TOLD)
            spent += 10.0
        clock.now += 1.0
    assert 0.015 < spent / clock.now <= 0.021


def test_what_another_training_left_is_not_taken_up(tmp_path: Path) -> None:
    assert Keeper(tmp_path / "one", "this", 0.0).kept() is None
    Keeper(tmp_path / "one", "this", 0.0).keep(TENSORS, TOLD)
    kept = Keeper(tmp_path / "one", "this", 0.0).kept()
    assert kept is not None and kept[1]["epoch"] == 3
    with pytest.raises(Unusable, match="another training"):
        Keeper(tmp_path / "one", "that", 0.0).kept()
