"""One stage in cdk.json: read, changed where it has to be, and put back at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

from token_vendor.settings import Options

from infra.operator.exits import OperatorError
from infra.stage.reader import read_options

CDK_JSON = Path("cdk.json")


@dataclass(frozen=True, kw_only=True)
class StageFile:
    stage: str
    content: Mapping[str, Any]

    @classmethod
    def read(cls, stage: str) -> "StageFile":
        """Read the stage; raise `OperatorError` if there is no such file or stage."""
        try:
            content = json.loads(CDK_JSON.read_text(encoding="utf-8"))
            given = content["context"]["stages"][stage]
        except OSError as error:
            raise OperatorError(f"{CDK_JSON}: {error.strerror}; run it beside cdk.json") from error
        except (ValueError, KeyError, TypeError) as error:
            raise OperatorError(f"{CDK_JSON} has no stage {stage} that can be read") from error
        if not isinstance(given, dict) or not given:
            raise OperatorError(f"stage {stage} of {CDK_JSON} has no options")
        return cls(stage=stage, content=content)

    @property
    def given(self) -> Mapping[str, Any]:
        given: Mapping[str, Any] = self.content["context"]["stages"][self.stage]
        return given

    def options(self, deployed: Options) -> Options:
        """Return the options as this file has them; those that are wrong here, as deployed."""
        # What is wrong with an option is told at the next synth.
        right, wrong = read_options(Options, self.given)
        left_out: dict[str, Any] = {
            each.name: each.default for each in fields(Options) if each.name not in wrong
        }
        return replace(deployed, **(left_out | right))

    def changed(self, changes: Mapping[str, Any]) -> str:
        content: dict[str, Any] = json.loads(json.dumps(self.content))
        content["context"]["stages"][self.stage] |= changes
        return _text(content)

    def diff(self, changes: Mapping[str, Any]) -> str:
        before = _text(self.content).splitlines(keepends=True)
        after = self.changed(changes).splitlines(keepends=True)
        return "".join(unified_diff(before, after, f"a/{CDK_JSON}", f"b/{CDK_JSON}"))


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
