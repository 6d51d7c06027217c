"""The end of a run by the clock, for machines whose pace nobody can foretell: `--until 18:30 --fall 40` trains at full rate
until 17:50, keeps that checkpoint as `stable.pt`, and lets the learning rate fall from then on."""

from __future__ import annotations

import argparse
import datetime
import time
from dataclasses import dataclass

from reid_training.errors import ConfigError


@dataclass(frozen=True)
class Ending:
    """The run ends at `at` (seconds since 1970); its learning rate falls over the `fall_s` seconds before."""

    at: float
    fall_s: float

    def fallen(self, now: float | None = None) -> float:
        """How much of the fall is over: 0 before it begins, 1 at the end."""
        left = self.at - (time.time() if now is None else now)
        return min(1.0, max(0.0, 1.0 - left / self.fall_s))


def ending_at(until: str | None, fall_minutes: float | None, now: float | None = None) -> Ending | None:
    """The ending at `HH:MM`, local time, today or else tomorrow; None without `until`. The fall takes a third of the time left
    when nothing else is wanted."""
    if until is None:
        if fall_minutes is not None:
            raise ConfigError("--fall says how long before --until the learning rate falls; give --until too")
        return None
    now = time.time() if now is None else now
    try:
        clock = datetime.time.fromisoformat(until)
    except ValueError as error:
        raise ConfigError(f"--until wants a time of day such as 18:30, got {until!r}") from error
    at = datetime.datetime.combine(datetime.datetime.fromtimestamp(now).date(), clock).timestamp()
    if at <= now:
        at += 86_400
    fall_s = (at - now) / 3 if fall_minutes is None else 60 * fall_minutes
    if fall_s <= 0:
        raise ConfigError("--fall wants a number of minutes above 0")
    return Ending(at, fall_s)


def add_options(command: argparse.ArgumentParser) -> None:
    """`--until` and `--fall`."""
    command.add_argument("--until", metavar="HH:MM", help="end at this time of day, with a learning rate that has fallen")
    command.add_argument(
        "--fall", type=float, metavar="MINUTES", help="how long before --until it falls; default a third of the time"
    )
