"""Configuration files: one TOML file a recipe, checked when it is read, so that a typing error is not a silent default."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from reid_training.data.sources import Source
from reid_training.errors import ConfigError

TASKS = ("embed", "triplet", "compact", "pair", "detect")
T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """A recipe: its name, what it trains, the seed, the data sources, and the tables that belong to the task."""

    recipe: str
    task: str
    seed: int
    sources: tuple[Source, ...]
    tables: Mapping[str, Any]

    def table(self, cls: type[T], name: str, **given: Any) -> T:
        """The table `[name]` as the dataclass `cls`; values in `given` win over the file's."""
        return typed(cls, {**self.tables.get(name, {}), **given}, f"[{name}]")

    def digest(self) -> str:
        """A short name of the whole content."""
        text = json.dumps([self.recipe, self.task, self.seed, dict(self.tables)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def typed(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """A dataclass from a TOML table; unknown and missing keys are errors that name the key. Lists become tuples."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    required = {
        n for n, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(table))
    if missing:
        raise ConfigError(f"{where}: key {missing[0]!r} is missing")
    return cls(**{key: _frozen(value) for key, value in table.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def read_raw(path: Path) -> dict[str, Any]:
    """The TOML file as it stands, with `recipe` and `task` checked."""
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"configuration {path} does not exist") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    if raw.get("task") not in TASKS:
        raise ConfigError(f"{path}: task {raw.get('task')!r} is none of {', '.join(TASKS)}")
    if not raw.get("recipe"):
        raise ConfigError(f"{path}: key 'recipe' (the name of the model) is missing")
    return raw


def parse(raw: Mapping[str, Any]) -> Config:
    """A checked configuration out of a TOML file's content."""
    tables = {k: v for k, v in raw.items() if k not in ("recipe", "task", "seed", "source")}
    sources = tuple(typed(Source, table, f"[[source]] number {i}") for i, table in enumerate(raw.get("source", []), 1))
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two sources are named {twice[0]!r}")
    return Config(raw["recipe"], raw["task"], int(raw.get("seed", 0)), sources, tables)
