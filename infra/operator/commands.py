"""
What the commands of `token-vendor` and `token-vendor-probe` share.

Nothing here or in `cli.py` imports more than Typer: `--help` answers before AWS's SDK is loaded.
"""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from infra import terminal
from infra.operator.exits import INTERRUPTED, USAGE, UsageError, told
from infra.terminal import Answer

if TYPE_CHECKING:
    from infra.operator.deployed import Deployed

Stage = Annotated[str, typer.Option("--stage", envvar="TOKEN_VENDOR_STAGE", help="the deployment")]
Hours = Annotated[float, typer.Option("--hours", min=0.01, help="how far back to look")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]

MOVED = {
    "tokens": " people list",
    "logs": " show EMAIL",
    "export": " people export EMAIL",
    "erase": " people erase EMAIL",
    "forget": " people forget EMAIL",
    "prewarm": " plan prewarm",
    "simulate-burst": " plan burst",
    "probe": "-probe",
}
"""Commands of 0.2 and their new names, which 0.3 still tells."""


class Sections(TyperGroup):
    """List the commands under a heading for each kind of use."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; one that has another name now says so."""
        if cmd_name in MOVED and ctx.parent is None:
            terminal.failure(f"token-vendor {cmd_name} is now: token-vendor{MOVED[cmd_name]}")
            raise typer.Exit(USAGE)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            if command := self.get_command(ctx, name):
                section = str(getattr(command, "rich_help_panel", None) or "Commands")
                sections.setdefault(section, []).append((name, command.get_short_help_str(150)))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def new_app(help_: str, **options: Any) -> typer.Typer:
    return typer.Typer(
        help=help_,
        cls=Sections,
        # Rich's own help takes half a second to load.
        rich_markup_mode=None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        **options,
    )


def command(
    app: typer.Typer, name: str, *, section: str = "Commands", csv: bool = False
) -> Callable[[Callable[..., Answer]], Callable[..., None]]:
    """Make a command of a function that returns an `Answer`; it has `--json`, `--csv` if wanted."""

    def decorate(function: Callable[..., Answer]) -> Callable[..., None]:
        formats: dict[str, Any] = {"as_json": Json}
        if csv:
            formats["as_csv"] = Annotated[bool, typer.Option("--csv", help="for a spreadsheet")]

        @wraps(function)
        def run(**arguments: Any) -> None:
            shown = {each: arguments.pop(each) for each in formats}
            try:
                answer = function(**arguments)
            except Exception as error:
                if (said := told(error)) is None:
                    raise
                terminal.failure(said[0])
                raise typer.Exit(said[1]) from error
            terminal.show(answer, **shown)
            if answer.code:
                raise typer.Exit(answer.code)

        signature = inspect.signature(function)
        more = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for each, kind in formats.items()
        ]
        parameters = [*signature.parameters.values(), *more]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = function.__annotations__ | formats
        app.command(name, rich_help_panel=section)(run)
        return run

    return decorate


def find(stage: str) -> "Deployed":
    """Look a stage up; its module brings AWS's SDK."""
    from infra.operator.deployed import Deployed  # noqa: PLC0415

    return Deployed.find(stage)


def secret(prompt: str) -> str:
    """Read a secret unseen, and never from the command line, which everybody can list."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True)).strip()
    if not (given := sys.stdin.read().strip()):
        raise UsageError(f"{prompt}: nothing came on stdin")
    return given


def run(app: typer.Typer) -> None:
    """Run a command line; Ctrl-C ends it without a traceback."""
    terminal.replace_what_it_cannot_show()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
