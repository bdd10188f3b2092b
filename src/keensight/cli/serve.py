"""The command ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keensight.cli.invocation import Invocation, shared
from keensight.core.progress import Verbosity
from keensight.errors import UsageError

TOKEN = "KEENSIGHT_TOKEN"


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: any that is free."
)
@click.option(
    "--name", help="Name of the model in addresses and responses (default: the name of its directory or run)."
)
@click.option(
    "--workers", type=click.IntRange(1, 1024),
    help="Threads that decode and predict (default: the number of CPUs).",
)  # fmt: skip
@click.option(
    "--max-bytes", type=click.IntRange(1024), default=32 << 20, show_default=True,
    help="Maximum size of a request's body.",
)  # fmt: skip
@click.option(
    "--max-pixels", type=click.IntRange(1), default=64_000_000, show_default=True,
    help="Maximum width times height of an image.",
)  # fmt: skip
@click.option(
    "--max-files", type=click.IntRange(1), default=32, show_default=True, help="Maximum number of images in a request."
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True,
    help="Seconds for receiving a request, and again for its predictions.",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(1), default=256, show_default=True,
    help="Maximum number of images that wait; further requests get status 429.",
)  # fmt: skip
@click.option(
    "--drain", type=click.FloatRange(0, 600), default=2.0, show_default=True,
    help="Seconds from the stop signal until no connection is accepted.",
)  # fmt: skip
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False),
    help=f"File with the token that requests must send (default: the environment variable {TOKEN}, else none).",
)  # fmt: skip
@click.option("--log-names", is_flag=True, help="Write the names of uploaded files to the log.")
@shared
def serve(asked: Invocation, model: Path, name: str | None, token_file: Path | None, **options: Any) -> None:
    """Serve MODEL (a run or a bundle) over HTTP: POST images to /predict.

    The server listens on this computer only, unless --host says otherwise. It stops on Ctrl-C or SIGTERM after what it
    has accepted; the exit code is then 0. The log on standard error has one JSON document per line. With --json,
    standard output has one document with the address as soon as the model is ready.
    """
    from keensight.serve.server import serve as run
    from keensight.serve.settings import Settings, as_name

    chosen = {key: value for key, value in options.items() if value is not None}
    settings = Settings(name or as_name(_called(model)), token=_token(token_file), **chosen)
    quiet = asked.verbosity == Verbosity.QUIET
    run(model, settings, lambda found: asked.answer(found, lambda: _text(found)), quiet)


def _called(model: Path) -> str:
    path = model.resolve()
    return path.parent.name if path.name == "bundle" else path.name


def _token(file: Path | None) -> str | None:
    """The token of a file, or of the environment; never of the command line, which other users can see."""
    import os

    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {file}: {error}", "write it to a text file") from error
    if not token:
        raise UsageError(f"{file} is empty", "write the token into it")
    return token


def _text(found: dict[str, Any]) -> str:
    return f"serving {found['model']['name']} at {found['url']} (Ctrl-C stops it)"
