"""
One stage in cdk.json: read, changed where it has to be, and put back at once.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from json.decoder import scanstring  # type: ignore[attr-defined]  # The stubs leave it out.
from pathlib import Path
from typing import Any

from token_vendor.settings import Options

from infra.operator.deployed import OperatorError
from infra.stage.probe_facts import COMPARED

CDK_JSON = Path("cdk.json")


@dataclass(frozen=True, kw_only=True)
class StageFile:
    """
    One stage of a cdk.json, as it is written there.
    """

    path: Path
    stage: str
    text: str = field(repr=False)
    given: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, stage: str) -> "StageFile":
        """
        Read the stage.

        Raises:
            OperatorError: There is no such file or stage.

        """
        try:
            text = path.read_text(encoding="utf-8")
            given = json.loads(text)["context"]["stages"][stage]
        except OSError as error:
            raise OperatorError(f"{path}: {error.strerror}; run it beside cdk.json") from error
        except (ValueError, KeyError, TypeError) as error:
            raise OperatorError(f"{path} has no stage {stage} that can be read") from error
        if not isinstance(given, dict) or not given:
            raise OperatorError(f"stage {stage} of {path} has no options")
        return cls(path=path, stage=stage, text=text, given=given)

    def options(self, deployed: Options) -> Options:
        """
        Return the options as this file has them; those that no probe concerns, as deployed.
        """
        written = {name: self.given.get(name, getattr(Options, name)) for name in COMPARED}
        return replace(
            deployed,
            **{name: value for name, value in written.items() if _fits(name, value)},
        )

    def changed(self, changes: Mapping[str, Any]) -> str:
        """
        Return the file's text with the changes and everything else as it was.
        """
        text = self.text
        for name, value in changes.items():
            text = _with_member(text, ("context", "stages", self.stage), name, json.dumps(value))
        return text

    def diff(self, changes: Mapping[str, Any]) -> str:
        """
        Return what the changes do to the file, as a unified diff.
        """
        before, after = (
            text.splitlines(keepends=True) for text in (self.text, self.changed(changes))
        )
        name = self.path.name
        return "".join(unified_diff(before, after, f"a/{name}", f"b/{name}"))

    def write(self, changes: Mapping[str, Any]) -> None:
        """
        Put the changes into the file: all of them or, whatever interrupts it, none.

        Raises:
            OperatorError: Somebody else has changed the file meanwhile, or it cannot be written.

        """
        try:
            if self.path.read_text(encoding="utf-8") != self.text:
                raise OperatorError(f"{self.path} was changed meanwhile; nothing was written")
            replace_file(self.path, self.changed(changes))
        except OSError as error:
            raise OperatorError(f"{self.path}: {error.strerror}; nothing was written") from error


def _fits(name: str, value: Any) -> bool:
    # What is wrong with an option is told at the next synth.
    kind = str if name.startswith("aurora_version") else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool)


def replace_file(path: Path, text: str) -> None:
    """
    Put a text in the place of a file at once; a reader sees the old one or the new one.
    """
    # A link stays one.
    path = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(temporary).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()


def _with_member(text: str, way: tuple[str, ...], name: str, value: str) -> str:
    """
    Set a member of the object at the end of `way`, and leave every other character alone.
    """
    start = _skipped(text, 0)
    for step in way:
        start, _ = _members(text, start)[step]
    members = _members(text, start)
    if name in members:
        begin, end = members[name]
        return text[:begin] + value + text[end:]
    _, last = list(members.values())[-1]
    first = text[start + 1 : _skipped(text, start + 1)]
    return f"{text[:last]},{first}{json.dumps(name)}: {value}{text[last:]}"


def _members(text: str, start: int) -> dict[str, tuple[int, int]]:
    """
    Return where the value of each member of the object at `start` begins and ends.
    """
    found: dict[str, tuple[int, int]] = {}
    at = _skipped(text, start + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1)
        begin = _skipped(text, _skipped(text, at) + 1)
        _, end = json.JSONDecoder().raw_decode(text, begin)
        found[name] = (begin, end)
        at = _skipped(text, end)
        if text[at] == ",":
            at = _skipped(text, at + 1)
    return found


def _skipped(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at
