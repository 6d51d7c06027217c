"""`prepare`: a training folder from nothing, and from wherever an earlier call stopped.

Unpacks the tars of a collection of data sets where the configurations look for them, links its folders, packs the crops and
asks the teachers, people known by name first. Every part that is finished is left as it is: a tar once unpacked, a pack, a
teacher's answer.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from reid_training.config import Config
from reid_training.data.pack import Part
from reid_training.errors import DataError, Stopped
from reid_training.files import make_folder, replacing
from reid_training.progress import Progress, say
from reid_training.recipes import embed
from reid_training.teacher_models import open_teacher
from reid_training.teachers import Answer, rows_done, teach_part

#: Where below the data folder the configurations look for what a collection holds as a tar. Its folder's name may be in the tar.
TARS = {
    "reid/market1501-train.tar.gz": "market1501/bounding_box_train",
    "reid/market1501-query.tar.gz": "market1501/query",
    "reid/market1501-gallery.tar.gz": "market1501/bounding_box_test",
    "reid/cuhk03-pair1.tar.gz": "reid/cuhk03-pair1",
    "reid/reid-extra.tar.gz": "reid/reid-extra",
    "reid/swimmers.tar.gz": "reid/swimmers",
    "detection/train.tar": "det-train",
    "detection/unlabelled.tar": "det-unlabelled",
}
#: Folders that are read where they are.
FOLDERS = ("tracking/matrix",)


def lay_out(collection: Path, data: Path) -> list[str]:
    """Unpacks and links what `collection` holds into `data`; the names of what is new. Raises `DataError` for a torn tar, or when
    nothing that is known is there."""
    there = [name for name in (*TARS, *FOLDERS) if (collection / name).exists()]
    if not there:
        raise DataError(f"{collection} holds none of {', '.join((*TARS, *FOLDERS))}; check --from")
    new = [name for name in there if name in TARS and not (data / TARS[name]).exists()]
    for name in new:
        say(f"unpacking {name}")
        unpack(collection / name, data / TARS[name])
    for name in FOLDERS:
        link = data / name
        if name in there and not link.exists():
            make_folder(link.parent)
            link.symlink_to((collection / name).resolve(), target_is_directory=True)
            new.append(name)
    return new


def unpack(tar: Path, folder: Path) -> None:
    """The files of a tar as `folder`, whole or not at all. A tar with one folder of that name inside gives that folder."""
    try:
        with tarfile.open(tar) as opened, replacing(folder) as draft:
            draft.mkdir()
            for member in opened:
                source = opened.extractfile(member) if member.isfile() else None
                if source is None:
                    continue
                parts = [part for part in Path(member.name).parts if part != "."]
                if ".." in parts or Path(member.name).is_absolute():
                    raise DataError(f"{tar}: {member.name} lies outside of the folder that it is unpacked into")
                place = draft.joinpath(*(parts[1:] if parts[0] == folder.name and len(parts) > 1 else parts))
                place.parent.mkdir(parents=True, exist_ok=True)
                with source, place.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{tar} cannot be unpacked ({error}); fetch it anew") from error


def prepare(
    config: Config, collection: Path | None, data: Path, cache: Path, teachers: Path | None, minutes: float | None
) -> None:
    """Lays out, packs, teaches. Raises `Stopped` when `minutes` are over before the teachers are through."""
    end = None if minutes is None else time.monotonic() + 60 * minutes
    if collection is not None:
        new = lay_out(collection, data)
        say(f"new in {data}: {', '.join(new)}" if new else f"{data} holds everything that is in {collection}")
    pack, table = embed.prepare(config, data, cache)
    embed.probes_for(config, pack, (), data, cache)
    if teachers is None:
        say("no --teachers: nobody has been asked")
        return
    answers = {name: open_teacher(teachers / file) for name, file in table.files.items()}
    known = {name: bool((pack.identity[part.first : part.first + part.count] >= 0).any()) for name, part in named(pack)}
    order = [part for name, part in sorted(named(pack), key=lambda item: not known[item[0]])]
    for view in table.views:
        teach_in_time(order, view, answers, config.seed, end)


def named(pack: embed.Pack) -> Iterator[tuple[str, Part]]:
    """The parts of a pack with the names of their sources."""
    return zip(pack.sources, pack.parts, strict=True)


def teach_in_time(parts: list[Part], view: int, answers: Mapping[str, Answer], seed: int, end: float | None) -> None:
    """The teachers' answers to a view of these parts, one after another, until `end` by the monotonic clock."""
    total, before = sum(part.count for part in parts), sum(rows_done(part.folder, view) for part in parts)
    if before >= total:
        return
    progress = Progress(f"view {view}", total, before)
    for part in parts:
        if end is not None and time.monotonic() >= end:
            progress.close()
            raise Stopped(f"stopped after {progress.done} of {total} answers to view {view}; the same command goes on")
        teach_part(part, view, answers, seed, progress, end)
    progress.close()
