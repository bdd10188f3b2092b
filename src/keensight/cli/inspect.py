"""The command ``inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keensight.cli.errors import one_line
from keensight.cli.invocation import Invocation, shared
from keensight.cli.options import flag_option, setting_option, table_options, tables_options

if TYPE_CHECKING:
    from keensight.core.audit import AuditReport
    from keensight.core.records import Dataset
    from keensight.store.run import Run


@click.command()
@click.argument("source")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the audit page (audit.html), a sample grid and the class balance (PNG).",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(path_type=Path),
    help="A run: list what was added, removed, changed, moved or relabeled in SOURCE since then.",
)  # fmt: skip
@table_options
@tables_options
@setting_option("--group", "data.group")
@setting_option("--group-regex", "data.group_regex")
@flag_option("--strict", "data.strict")
@shared
def inspect(
    asked: Invocation, source: str, out: Path | None, against: Path | None, strict: bool | None, **columns: Any
) -> None:
    """Explore and audit SOURCE: unreadable files, duplicates, conflicting labels, class imbalance.

    SOURCE is any source that `keensight train` accepts. No file is changed.
    """
    from keensight import workflow
    from keensight.core.codec import to_plain
    from keensight.show import terminal

    run = _run(against) if against else None  # refused before any work
    dataset = workflow.open(source, **columns)
    since = workflow.changes_since(run, dataset) if run else None
    report = workflow.audit(dataset)
    written = write_files(dataset, report, out) if out else []
    document = to_plain(report) | {"figures": [str(path) for path in written]}
    document |= {"against": to_plain(since) | {"same": since.same}} if since else {}
    told = [terminal.audit(report), *([terminal.changes(since)] if since else ())]
    asked.answer(document, lambda: "\n".join([*told, *(f"wrote {one_line(str(path))}" for path in written)]))
    if strict:
        workflow.refuse_severe(report)


def _run(path: Path) -> Run:
    from keensight.store.run import open_run

    return open_run(path)


def write_files(dataset: Dataset, report: AuditReport, directory: Path) -> list[Path]:
    """Write the sample grid and the class balance as PNG files, and the audit as a page and as JSON."""
    import json

    from keensight.core.codec import to_plain
    from keensight.core.files import write_text
    from keensight.show import figures
    from keensight.show.audit_page import write_audit

    drawn = {"samples.png": figures.samples(dataset), "classes.png": figures.class_balance(report)}
    pictures = [figures.save(figure, directory / name) for name, figure in drawn.items()]
    record = directory / "audit.json"
    write_text(record, json.dumps(to_plain(report), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return [*pictures, write_audit(directory / "audit.html", report, dataset), record]
