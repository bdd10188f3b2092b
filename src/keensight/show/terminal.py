"""Results as the command line prints them: plain text, with color where the console supports it.

Every function takes a rich ``Console`` (default: standard output) for width, color and encoding, and
returns text that can be printed there unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from keensight.core.anomaly_evaluation import AnomalyEvaluation
from keensight.core.audit import AuditReport, Column, Finding, Probe, by_severity
from keensight.core.changes import Change, DatasetChanges
from keensight.core.evaluation import BinaryScores, Evaluation, MultilabelScores, Slices
from keensight.core.labels import LabelSuspects
from keensight.core.sanitize import visible
from keensight.show.misclassified import ConfusedPair, confused_pairs
from keensight.show.text import accuracy, clean, ends, interval, percent, plural, probe_name, shorten

_LISTED = 8
"""Rows of a list of the worst or most frequent."""
_SHOWN_CLASSES = 60
_SHOWN_LABELS = 20
_SEVERITY = {"info": "blue", "warning": "yellow", "severe": "bold red"}
_BAR = 24


def changes(since: DatasetChanges, console: Console | None = None) -> str:
    """What has changed in a dataset since a run, with some of the images by name."""
    target = console or Console()
    if since.same:
        return _render(Text("nothing has changed since the run", style="bold"), target)
    kinds = {
        "added": since.added, "removed": since.removed, "changed content": since.changed,
        "moved": [f"{change.before} -> {change.after}" for change in since.moved],
        "relabeled": [_arrow(change) for change in since.relabelled],
        "other group": [_arrow(change) for change in since.regrouped],
        "other split": [_arrow(change) for change in since.resplit],
    }  # fmt: skip
    lines = [Text(f"changes since the run ({plural(since.unchanged, 'image')} unchanged):", style="bold")]
    for kind, images in kinds.items():
        if images:
            lines.append(Text(f"{kind}: {plural(len(images), 'image')}", style="yellow"))
            lines += [Text(f"  {clean(image, target.encoding)}", style="dim") for image in images[:_LISTED]]
            lines += [Text(f"  and {len(images) - _LISTED:,} more", style="dim")] if len(images) > _LISTED else []
    return _render(Group(*lines), target)


def _arrow(change: Change) -> str:
    return f"{change.path}: {change.before or 'none'} -> {change.after or 'none'}"


def headline(evaluation: Evaluation) -> str:
    """The main result with its confidence interval and n, as one line of ASCII."""
    if evaluation.multilabel is not None:
        area = evaluation.multilabel.mean_average_precision
        return f"{evaluation.part} mAP {interval(area)[:-1]}, n = {evaluation.n:,})"
    return f"{evaluation.part} accuracy {accuracy(evaluation.accuracy, evaluation.n)}"


def result(
    evaluation: Evaluation | AnomalyEvaluation,
    report: str = "",
    console: Console | None = None,
    labels: LabelSuspects | None = None,
    slices: Slices | None = None,
) -> str:
    """The end of a training: main result, baseline, confusions, results by class, path of the report."""
    if isinstance(evaluation, AnomalyEvaluation):
        return _anomalies(evaluation, report)
    target = console or Console()
    if evaluation.multilabel is not None:
        return _labels_result(evaluation, evaluation.multilabel, report, target)
    naive = f"baseline (always predict the most common class): {percent(evaluation.baseline_accuracy)}"
    parts = [
        _render(
            Group(
                Text(headline(evaluation), style="bold"),
                *_cautions(evaluation),
                Text(naive, style="dim"),
                *_decisions(evaluation),
            ),
            target,
        ),
        confusion(evaluation, target),
        binary(evaluation.binary, target) if evaluation.binary else weakest(evaluation, target),
        "" if labels is None else _suspects(labels, target),
        "" if slices is None else _slices(slices, target),
        f"report  {clean(report, target.encoding)}" if report else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _decisions(evaluation: Evaluation) -> list[Text]:
    """What the decision rule did, where it abstained at all."""
    if evaluation.abstention is None:
        return []
    from keensight.show.calibration import coverage_of_rule

    told = coverage_of_rule(evaluation.abstention)
    return [Text(told)] if told else []


def _anomalies(evaluation: AnomalyEvaluation, report: str) -> str:
    lines = [f"{evaluation.part}: {evaluation.normal:,} normal and {evaluation.anomalous:,} anomalous images"]
    if evaluation.auroc is not None:
        lines.append(f"area under the ROC curve {interval(evaluation.auroc)}")
    if evaluation.recall is not None:
        lines.append(f"anomalies detected       {interval(evaluation.recall)}")
    if evaluation.false_alarms is not None:
        expected = f"; at most {percent(evaluation.limits.rate)} expected"
        lines.append(f"false alarms             {interval(evaluation.false_alarms)}{expected}")
    lines += [f"  {clean(kind.kind)}: {percent(kind.recall.value)} of {kind.n:,} detected" for kind in evaluation.kinds]
    lines += [text.plain for text in _cautions(evaluation)]
    return "\n".join([*lines, "", f"report  {clean(report)}"] if report else lines)


def _slices(found: Slices, console: Console) -> str:
    from keensight.show.slices import sentence

    return _render(Text(sentence(found)), console)


def _suspects(labels: LabelSuspects, console: Console) -> str:
    where = "`keensight review` shows them" if labels.pairs is None else "suspects.csv in the run lists them"
    hint = f"; {where}" if labels.suspects else ""
    return _render(Text(f"labels  {labels.sentence()}{hint}"), console)


def _cautions(evaluation: Evaluation | AnomalyEvaluation) -> list[Text]:
    """Why the result may be wrong, right below it; advice is one line, as it may contain an option to copy."""
    told = []
    for caveat in evaluation.caveats:
        told.append(Text(f"caution: {clean(caveat.message)}", "yellow"))
        if caveat.advice:
            told.append(Text(f"  {clean(caveat.advice)}", "yellow", no_wrap=True, overflow="ignore"))
    return told or ([] if isinstance(evaluation, AnomalyEvaluation) else _cleaned(evaluation))


def _cleaned(evaluation: Evaluation) -> list[Text]:
    """For runs from before there were caveats: the accuracy without leaked images."""
    if not evaluation.seen:
        return []
    if evaluation.cleaned is None:
        return [
            Text(
                "every image has a duplicate or near-duplicate in another split: this says nothing about new images",
                "bold red",
            )
        ]
    told = f"without {plural(evaluation.seen, 'image')} with a duplicate or near-duplicate in another split:"
    kept = accuracy(evaluation.cleaned, evaluation.n - evaluation.seen)
    return [Text(f"{told} {kept}", "yellow")]


def _labels_result(evaluation: Evaluation, scores: MultilabelScores, report: str, console: Console) -> str:
    exact = (
        f"micro F1 {interval(scores.micro_f1)}, macro F1 {evaluation.macro_f1:.3f}\n"
        f"all labels correct: {accuracy(evaluation.accuracy, evaluation.n)}; "
        f"baseline (always the most common set of labels): {percent(evaluation.baseline_accuracy)}\n"
        f"wrong (image, label) pairs (Hamming loss): {scores.hamming_loss:.4f}"
    )
    table = _table(("label", "left"), ("AP", "right"), ("prevalence", "right"), ("precision", "right"),
                   ("recall", "right"), ("F1", "right"), ("images", "right"))  # fmt: skip
    rows = sorted(zip(evaluation.per_class, scores.per_label, strict=True), key=lambda pair: pair[0].f1)
    for row, label in rows[:_SHOWN_LABELS]:
        area = "-" if label.average_precision is None else f"{label.average_precision:.3f}"
        table.add_row(_name(row.label, 30, console), area, f"{label.base_rate:.3f}", f"{row.precision:.3f}",
                      f"{row.recall:.3f}", f"{row.f1:.3f}", f"{row.support:,}")  # fmt: skip
    cut = f" ({_SHOWN_LABELS} of {len(rows)})" if len(rows) > _SHOWN_LABELS else ""
    heading = f"labels, lowest F1 first{cut}"
    parts = [
        _render(Group(Text(headline(evaluation), style="bold"), Text(exact), *_cautions(evaluation)), console),
        _render(Group(Text(heading, style="bold"), table), console),
        f"report  {clean(report, console.encoding)}" if report else "",
    ]
    return "\n\n".join(part for part in parts if part)


def confusion(evaluation: Evaluation, console: Console | None = None) -> str:
    """The confusion matrix if it fits the width, else the most frequent confusions."""
    target = console or Console()
    matrix = _matrix(evaluation, target)
    if matrix is not None:
        heading = Text("confusion matrix (row: true class, column: predicted)", style="bold")
        return _render(Group(heading, matrix), target)
    pairs = confused_pairs(evaluation.confusion, evaluation.labels)
    if not pairs:
        return "no image was misclassified"
    return _render(Group(Text("most frequent confusions", style="bold"), _pairs(pairs[:_LISTED], target)), target)


def binary(scores: BinaryScores, console: Console | None = None) -> str:
    """Sensitivity, specificity, PPV and NPV of two classes, with their confidence intervals."""
    target = console or Console()
    table = _table(("", "left"), ("value", "right"), ("95% CI", "left"), ("images", "right"))
    for name, one, hits, n, _ in scores.rows():
        table.add_row(name, f"{one.value:.1%}", ends(one), f"{hits:,} of {n:,}")
    words = f"positive class: {clean(scores.positive, target.encoding)} ({clean(scores.reason, target.encoding)})"
    return _render(Group(Text(words, style="bold"), table), target)


def weakest(evaluation: Evaluation, console: Console | None = None) -> str:
    """The classes with the lowest F1, worst first; empty if every class is perfect.

    Colored where the whole confidence interval of the F1 is below the mean of all classes.
    """
    target = console or Console()
    scored = [row for row in evaluation.per_class if row.support and row.f1 < 1]
    worst = sorted(scored, key=lambda row: row.f1)[: min(_LISTED, max(3, len(evaluation.labels) // 3))]
    if not worst:
        return ""
    weak = evaluation.weak_classes()
    table = _table(("lowest F1", "left"), ("precision", "right"), ("recall", "right"), ("F1", "right"),
                   ("95% CI", "left"), ("images", "right"))  # fmt: skip
    for row in worst:
        found = row.intervals.get("f1")
        table.add_row(_name(row.label, 30, target), f"{row.precision:.3f}", f"{row.recall:.3f}",
                      Text(f"{row.f1:.3f}", style="yellow" if row in weak else ""),
                      f"{found.low:.2f} to {found.high:.2f}" if found else "", f"{row.support:,}")  # fmt: skip
    return _render(table, target)


def audit(report: AuditReport, console: Console | None = None) -> str:
    """What is in a dataset, and what the audit found."""
    target = console or Console()
    heading = f"{report.dataset}: {plural(report.n, 'image')}, {plural(len(report.counts), 'class', 'classes')}"
    parts: list[RenderableType] = [Text(clean(heading, target.encoding), style="bold"), Text()]
    parts += [_bars(report.counts, target), Text(), _facts(report, target), Text()]
    if not report.findings:
        parts.append(Text("no problems found", style="green"))
    for finding in by_severity(report.findings):
        parts.append(_finding(finding, target))
    if report.probes:
        parts += [Text(), _probes(report.probes)]
    if report.columns:
        parts += [Text(), _columns(report.columns, target)]
    return _render(Group(*parts), target)


def _probes(probes: Sequence[Probe]) -> Group:
    """How well the class can be predicted from each aspect of the images alone."""
    heading = f"class predicted from one aspect alone (accuracy by chance: {percent(probes[0].chance)})"
    table = _table(("aspect", "left"), ("accuracy", "right"), ("mean recall", "right"), ("", "left"))
    table.columns[0].no_wrap = False  # in a narrow console, only the names wrap
    for probe in probes:
        if probe.verdict != "reference":
            verdict, style = ("suspicious", "yellow") if probe.verdict == "alarm" else ("", "")
            table.add_row(*_measured(probe), verdict, style=style)
    references = [probe for probe in probes if probe.verdict == "reference"]
    if references:
        table.add_row("for comparison:", style="dim")
    for probe in references:
        table.add_row(*_measured(probe), style="dim")
    return Group(Text(heading, style="bold"), table)


def _measured(probe: Probe) -> tuple[str, str, str]:
    return probe_name(probe.name), percent(probe.accuracy.value), percent(probe.balanced)


def _columns(columns: Sequence[Column], console: Console) -> Table:
    table = _table(("metadata", "left"), ("kind", "left"), ("values", "right"), ("missing", "right"))
    for column in columns:
        table.add_row(_name(column.name, 36, console), column.kind, f"{column.distinct:,}", f"{column.missing:,}")
    return table


def _render(what: RenderableType, console: Console) -> str:
    with console.capture() as captured:
        console.print(_Visible(what), highlight=False, crop=False)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


class _Visible:
    """A renderable without control characters in its text; styles are kept."""

    def __init__(self, what: RenderableType) -> None:
        self._what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._what, options):
            yield segment if segment.control else Segment(visible(segment.text, keep="\n"), segment.style)


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    return table


def _name(text: str, width: int, console: Console) -> Text:
    """A name from a user: no markup, nothing that the console cannot show."""
    short = shorten(text, width, "..." if console.options.ascii_only else "…")
    return Text(clean(short, console.encoding))


def _matrix(evaluation: Evaluation, console: Console) -> Table | None:
    """The matrix as a table; None if it is wider than the console."""
    counts, names = evaluation.confusion, evaluation.labels.names
    digits = max(len(f"{count}") for row in counts for count in row)
    brief = max(map(len, names)) <= max(digits, 4)
    columns = list(names) if brief else [str(number) for number in range(len(names))]
    # Long names: columns are numbered, rows have number and name.
    rows = list(names) if brief else [f"{number:>{len(columns[-1])}} {name}" for number, name in enumerate(names)]
    cell = 2 + max(digits, *map(len, columns))
    label = min(24, max(map(len, rows)))
    if label + 1 + cell * len(columns) > console.width:
        return None
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(_name(name, cell, console), justify="right", no_wrap=True, min_width=cell - 2)
    for place, row in enumerate(counts):
        table.add_row(_name(rows[place], label, console), *_cells(row, place))
    return table


def _cells(row: Sequence[int], diagonal: int) -> Iterable[Text]:
    """Counts of one true class; zeros are dots, so that the diagonal stands out without color."""
    for place, count in enumerate(row):
        if place == diagonal:
            yield Text(str(count), style="bold green")
        else:
            yield Text(str(count), style="red") if count else Text(".", style="dim")


def _pairs(pairs: Iterable[ConfusedPair], console: Console) -> Table:
    width = max(10, (console.width - 30) // 2)
    table = _table(("true", "left"), ("predicted", "left"), ("images", "right"), ("of the class", "right"))
    for pair in pairs:
        table.add_row(_name(pair.truth, width, console), _name(pair.predicted, width, console), f"{pair.count:,}",
                      percent(pair.share))  # fmt: skip
    return table


def _bars(counts: Mapping[str, int], console: Console) -> RenderableType:
    mark = "#" if console.options.ascii_only else "█"
    largest = max(counts.values(), default=0) or 1
    shown = list(counts.items())
    if len(shown) > _SHOWN_CLASSES:
        ranked = sorted(shown, key=lambda item: -item[1])
        shown = ranked[:10] + ranked[-10:]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, count in shown:
        bar = mark * max(1 if count else 0, round(_BAR * count / largest))
        table.add_row(_name(name, max(10, console.width - _BAR - 14), console), f"{count:,}", Text(bar, style="cyan"))
    if len(shown) == len(counts):
        return table
    return Group(table, Text(f"(the 10 largest and the 10 smallest of {len(counts)} classes)", style="dim"))


def _facts(report: AuditReport, console: Console) -> Table:
    low, middle, high = report.width_range
    short, median, tall = report.height_range
    facts = {
        "predefined splits": _listing(report.parts),
        "formats": _listing(report.formats),
        "color modes": _listing(report.modes),
        "width": f"{low} to {high} px, median {middle}",
        "height": f"{short} to {tall} px, median {median}",
        "sizes": _listing(dict(list(report.sizes.items())[:4])) + (", ..." if len(report.sizes) > 4 else ""),
        "grayscale": percent(report.grey_share),
        "unreadable": plural(len(report.quarantined), "image") if report.quarantined else "none",
        "skipped files": f"{len(report.skipped):,}" if report.skipped else "",
    }
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        if value:
            table.add_row(key, Text(clean(value, console.encoding)))
    return table


def _listing(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _finding(finding: Finding, console: Console) -> Text:
    style = _SEVERITY[finding.severity]
    text = Text.assemble((f"{finding.severity}: ", style), clean(finding.message, console.encoding))
    for together in finding.images[:3]:
        text.append("\n    " + clean("  =  ".join(together[:3]), console.encoding), style="dim")
    rest = finding.total - 3
    if rest > 0:
        text.append(f"\n    and {rest:,} more", style="dim")
    return text
