"""Ids that are there more than once."""

from __future__ import annotations

from llava_ov_ros.evaluation.benchmarks.repeated_ids import repeats


def test_rows_with_ids_of_their_own_need_no_word():
    assert repeats([]) == ""
    assert repeats([(1, "1", "line 1"), ("1", "1", "line 2")]) == ""


def test_ids_are_named_with_their_places():
    rows = [(7, "7", "line 1"), (8, "8", "line 2"), (7, "7", "line 3"), (8, "8", "line 4"), (9, "9", "line 5")]
    assert repeats(rows) == ("2 ids are there more than once, in 4 rows: 7 (line 1, line 3), 8 (line 2, line 4)")


def test_of_many_the_first_ones():
    rows = [(number % 12, str(number % 12), f"line {number}") for number in range(120)]
    found = repeats(rows)
    assert found.startswith("12 ids are there more than once, in 120 rows: 0 (line 0, line 12, ")
    assert "line 48, and 5 more), 1 (" in found
    assert found.endswith(", and 2 more")
