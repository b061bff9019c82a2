"""One stage in cdk.json: read, changed where it has to be, and put back at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

from token_vendor.settings import Options

from infra.operator.exits import OperatorError
from infra.stage.probe_facts import COMPARED

CDK_JSON = Path("cdk.json")


@dataclass(frozen=True, kw_only=True)
class StageFile:
    path: Path
    stage: str
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, stage: str) -> "StageFile":
        """
        Read the stage.

        Raises:
            OperatorError: There is no such file or stage.

        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            given = content["context"]["stages"][stage]
        except OSError as error:
            raise OperatorError(f"{path}: {error.strerror}; run it beside cdk.json") from error
        except (ValueError, KeyError, TypeError) as error:
            raise OperatorError(f"{path} has no stage {stage} that can be read") from error
        if not isinstance(given, dict) or not given:
            raise OperatorError(f"stage {stage} of {path} has no options")
        return cls(path=path, stage=stage, content=content)

    @property
    def given(self) -> Mapping[str, Any]:
        given: Mapping[str, Any] = self.content["context"]["stages"][self.stage]
        return given

    def options(self, deployed: Options) -> Options:
        """Return the options as this file has them; those that no probe concerns, as deployed."""
        written = {name: self.given.get(name, getattr(Options, name)) for name in COMPARED}
        fit = {name: value for name, value in written.items() if _fits(name, value)}
        return replace(deployed, **fit)

    def changed(self, changes: Mapping[str, Any]) -> str:
        content: dict[str, Any] = json.loads(json.dumps(self.content))
        content["context"]["stages"][self.stage] |= changes
        return _text(content)

    def diff(self, changes: Mapping[str, Any]) -> str:
        before = _text(self.content).splitlines(keepends=True)
        after = self.changed(changes).splitlines(keepends=True)
        return "".join(unified_diff(before, after, f"a/{self.path.name}", f"b/{self.path.name}"))

    def write(self, changes: Mapping[str, Any]) -> None:
        """
        Put the changes into the file as it is by now: all of them or none.

        Raises:
            OperatorError: It cannot be read any more, or written.

        """
        now = StageFile.read(self.path, self.stage)
        try:
            replace_file(self.path, now.changed(changes))
        except OSError as error:
            raise OperatorError(f"{self.path}: {error.strerror}; nothing was written") from error


def replace_file(path: Path, text: str) -> None:
    """Put a text in the place of a file at once; a link stays one."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _fits(name: str, value: Any) -> bool:
    # What is wrong with an option is told at the next synth.
    kind = str if name.startswith("aurora_version") else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool)
