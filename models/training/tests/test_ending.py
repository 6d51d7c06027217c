"""Ends of runs by the clock."""

from __future__ import annotations

import datetime

import pytest

from reid_training.ending import ending_at
from reid_training.errors import ConfigError

NOON = datetime.datetime(2030, 5, 1, 12).timestamp()


def test_the_rate_falls_before_the_end() -> None:
    ending = ending_at("13:00", 20, NOON)
    assert ending is not None
    assert [round(ending.fallen(NOON + 60 * m), 3) for m in (0, 40, 45, 50, 60, 90)] == [0, 0, 0.25, 0.5, 1, 1]


def test_times_gone_by_are_tomorrow_and_a_third_is_the_default() -> None:
    ending = ending_at("11:00", None, NOON)
    assert ending is not None and ending.at == NOON + 23 * 3600 and ending.fall_s == 23 * 3600 / 3
    assert ending_at(None, None, NOON) is None


@pytest.mark.parametrize(("until", "fall"), [("noon", None), ("25:00", None), ("13:00", 0), (None, 5)])
def test_what_makes_no_sense_is_said(until: str | None, fall: float | None) -> None:
    with pytest.raises(ConfigError, match="--"):
        ending_at(until, fall, NOON)
