"""The program: every noun's commands under one name."""

from collections.abc import Sequence

import click

from latchwork.cli import (
    api,
    audit,
    demo,
    encryption,
    importing,
    key,
    migrate,
    root_key,
    serve,
    settings,
    version,
    workspace,
)
from latchwork.cli.failures import Failure, explained, tell


@click.group("latchwork", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def program() -> None:
    """API keys, limits and credits: exact, explainable, immediate, fast."""


for _command in (
    serve.serve,
    workspace.workspace,
    root_key.root_key,
    api.api,
    key.key,
    audit.audit,
    encryption.encryption,
    settings.settings,
    migrate.migrate,
    demo.demo,
    importing.import_,
    version.version,
):
    program.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command; the exit code: 0 done, 1 refused or failed, 2 asked wrongly."""
    as_json = "--json" in arguments
    try:
        ended = program.main(list(arguments), prog_name="latchwork", standalone_mode=False)
    except click.UsageError as error:
        if as_json:
            tell(Failure("cli/usage", error.format_message()), as_json=True)
        else:
            error.show()
        return 2
    except click.Abort:
        return 130  # as a shell says of a command that was interrupted
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        tell(failure, as_json=as_json)
        return 1
    return ended if isinstance(ended, int) else 0
