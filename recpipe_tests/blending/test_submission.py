import numpy as np
import pytest

from recpipe.blending.submission import Submission
from recpipe.evaluation.ranking import Ranking

RANKING = Ranking(np.array([[2, 0], [1, 2]], dtype=np.int32), np.array([[0.9, 0.8], [0.5, 0.25]], dtype=np.float32))


def test_the_file_has_one_line_a_film_in_the_order_of_rank_under_raw_ids(tmp_path):
    Submission.build(RANKING, np.array([11, 7]), np.array([100, 200, 300])).write(tmp_path)
    assert (tmp_path / "submission.csv").read_bytes() == b"user,item\n11,300\n11,100\n7,200\n7,300\n"


def test_ids_that_are_words_are_quoted_where_they_must_be(tmp_path):
    ids = np.array(["tt1", "a,b", 'c"d'], dtype=object)
    Submission.build(RANKING, np.array(["u1", "u2"], dtype=object), ids).write(tmp_path)
    lines = (tmp_path / "submission.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["user,item", 'u1,"c""d"', "u1,tt1", 'u2,"a,b"', 'u2,"c""d"']
    assert Submission.read(tmp_path).items.tolist() == [['c"d', "tt1"], ["a,b", 'c"d']]


def test_a_submission_comes_back_as_it_was_written_and_writes_the_same_bytes(tmp_path):
    submission = Submission.build(RANKING, np.array([11, 7]), np.array([100, 200, 300]))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    submission.write(tmp_path / "first")
    back = Submission.read(tmp_path / "first")
    assert back.users.tolist() == [11, 7] and back.items.tolist() == [[300, 100], [200, 300]]
    assert back.scores.tolist() == [[np.float32(0.9), np.float32(0.8)], [0.5, 0.25]]
    back.write(tmp_path / "second")
    for name in ("submission.csv", "scores.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_the_table_carries_ranks():
    table = Submission.build(RANKING, np.array([11, 7]), np.array([100, 200, 300])).table()
    assert table.to_pydict()["rank"] == [1, 2, 1, 2]


def test_users_with_too_few_films_are_named():
    short = Ranking(np.array([[2, 0], [1, -1]], dtype=np.int32), RANKING.scores)
    with pytest.raises(ValueError, match=r"1 users have fewer than 2 films left \(user 7: 1\)"):
        Submission.build(short, np.array([11, 7]), np.array([100, 200, 300]))


def test_another_number_of_users_is_refused():
    with pytest.raises(ValueError, match="3 user ids for 2 lists"):
        Submission.build(RANKING, np.array([1, 2, 3]), np.array([100, 200, 300]))
