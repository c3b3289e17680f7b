"""
Finding the vault's own secrets where they have no business: files, what git keeps, processes.

Decides where is looked and what a place is called. Leaves what is looked for to ``sought``. Nothing is changed, and
a secret is told by its field and fingerprint only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcpvault.upkeep import unpacking
from mcpvault.upkeep.scan_git import objects, repository_at
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.upkeep.sought import Name, Sought

_PIECE = 1 << 20  # bytes
_PROC = Path("/proc")
_OBJECTS = "objects"  # of git: compressed, and looked through as what they say


class Leak(Record):
    """
    One secret in one place: ``kind`` is file, git or process, ``line`` counts from 1 and is None in a process.

    ``where`` is what people are shown and can go to.
    """

    kind: str
    path: str
    line: int | None
    field: str
    stage: str
    fingerprint: str

    @property
    def where(self) -> str:
        """The place as one word."""
        return self.path if self.line is None else f"{self.path}:{self.line}"


class Scan:
    """
    One search; it counts what it looked at and names what it could not read.

    Args:
        sought: The secrets.
        env: The environment, for git.
        own: Files that may hold what they hold: the key's own file.
    """

    def __init__(self, sought: Sought, env: Mapping[str, str], own: Iterable[Path] = ()) -> None:
        self.looked = {"files": 0, "objects": 0, "processes": 0}
        self.unread: list[str] = []
        self._sought = sought
        self._env = env
        self._seen = {(facts.st_dev, facts.st_ino) for path in own if (facts := _facts(path, follow=True)) is not None}

    def below(self, path: Path, *, history: bool = True) -> Iterator[Leak]:
        """Yield what is found in *path*, or in all files below it; links inside are not followed."""
        if not path.is_dir():
            yield from self._file(path, follow=True)
            return
        if history and (repository := repository_at(path, self._env)) is not None:
            yield from self._history(path, repository)
        for folder, folders, files in os.walk(path, onerror=self._not_read):
            here = Path(folder)
            folders.sort()
            if history and here != path and (".git" in folders or ".git" in files or _is_bare(here)):
                repository = repository_at(here, self._env)
                if repository is not None:
                    yield from self._history(here, repository)
            if (here / "HEAD").is_file() and _OBJECTS in folders:
                folders.remove(_OBJECTS)
            for name in sorted(files):
                yield from self._file(here / name)

    def _not_read(self, error: OSError) -> None:
        self.unread.append(f"{error.filename}: {(error.strerror or 'refused').lower()}")

    def _file(self, path: Path, *, follow: bool = False) -> Iterator[Leak]:
        facts = _facts(path, follow=follow)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            if follow:
                self.unread.append(f"{path}: is no file")
            return
        if (facts.st_dev, facts.st_ino) in self._seen:
            return
        self._seen.add((facts.st_dev, facts.st_ino))
        try:
            with path.open("rb") as file:
                for place, line, name in self._unpacked(str(path), file, facts.st_size):
                    yield _leak("file", place, line, name)
        except OSError as error:
            self.unread.append(f"{path}: {(error.strerror or str(error) or 'refused').lower()}")
            return
        self.looked["files"] += 1

    def _unpacked(self, path: str, file: BufferedReader, size: int) -> Iterator[tuple[str, int, Name]]:
        """Yield place, line and name of each secret in *file*, or in what is packed in it."""
        place = path
        try:
            for place, stream in unpacking.streams(path, file, size, self.unread):
                try:
                    for line, name in self._in(stream):
                        yield place, line, name
                except unpacking.DAMAGED as error:
                    if getattr(error, "errno", None) is not None:
                        raise
                    self.unread.append(f"{place}: cannot be unpacked to its end")
        except unpacking.TooMuch:
            self.unread.append(f"{place}: unpacks to too much; the rest of it was not looked through")

    def _in(self, file: BufferedReader) -> Iterator[tuple[int, Name]]:
        """Yield line and name of each secret, reading in pieces that overlap by the longest of them."""
        kept, lines, broken = b"", 0, None
        while broken is None:
            try:
                piece = file.read1(_PIECE)  # what can be had: more of it may be damaged
            except (unpacking.TooMuch, *unpacking.DAMAGED) as error:
                piece, broken = b"", error
            if not piece:
                break
            data = kept + piece
            before = max(len(data) - self._sought.overlap, 0)
            for at, name in self._ordered(data):
                if at < before:  # else the next piece has it too
                    yield lines + data.count(b"\n", 0, at) + 1, name
            lines += data.count(b"\n", 0, before)
            kept = data[before:]
        for at, name in self._ordered(kept):
            yield lines + kept.count(b"\n", 0, at) + 1, name
        if broken is not None:
            raise broken

    def _ordered(self, data: bytes) -> list[tuple[int, Name]]:
        return sorted(self._sought.within(data), key=lambda hit: hit[0])

    def _history(self, folder: Path, repository: Path) -> Iterator[Leak]:
        facts = _facts(repository)
        if facts is None or (facts.st_dev, facts.st_ino) in self._seen:
            return
        self._seen.add((facts.st_dev, facts.st_ino))
        for each in objects(folder, self._env, self.unread):
            self.looked["objects"] += 1
            found = list(self._unpacked("", unpacking.in_memory(each.data), len(each.data)))
            place = each.place() if found else ""
            for inside, line, name in found:
                yield _leak("git", place + inside, line, name)

    def processes(self) -> Iterator[Leak]:
        """Yield what stands in the environment and the words of this user's processes, for all of them to read."""
        for folder in sorted(_PROC.glob("[0-9]*"), key=lambda each: int(each.name)):
            facts = _facts(folder)
            if facts is None or facts.st_uid != os.geteuid():
                continue
            with suppress(OSError):  # it has ended, or is not ours to look into
                program = (folder / "comm").read_text("utf-8", "replace").strip()
                environ, words = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
                self.looked["processes"] += 1
                place = f"process {folder.name} ({program})"
                for number, word in enumerate(words.split(b"\0")):
                    for _, name in self._sought.within(word):
                        yield _leak("process", f"{place}, word {number}", None, name)
                for variable in environ.split(b"\0"):
                    for _, name in self._sought.within(variable):
                        said = variable.partition(b"=")[0].decode("utf-8", "replace")
                        if said in self._sought.variables.get(name.fingerprint, ()):
                            continue  # there a reference looks for it
                        yield _leak("process", f"{place}, variable {said}", None, name)


def _leak(kind: str, path: str, line: int | None, name: Name) -> Leak:
    told: dict[str, Any] = name.fields()
    return Leak(kind=kind, path=path, line=line, **told)


def _facts(path: Path, *, follow: bool = False) -> os.stat_result | None:
    try:
        return path.stat() if follow else path.lstat()
    except OSError:
        return None


def _is_bare(folder: Path) -> bool:
    return folder.name.endswith(".git") and (folder / "HEAD").is_file()
