"""Predict any number of images on several workers, through Ray Data: paths are sent, and each worker decodes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keensight import __version__
from keensight.core.files import temporary_folder, write_bytes
from keensight.core.progress import Progress
from keensight.core.sources import Source
from keensight.errors import DataError, GateError, KeensightError, UsageError
from keensight.scale.cluster import cause, connected, installed, is_client, machines
from keensight.scale.image_parts import Part, digest, divided, from_text
from keensight.scale.part_folder import PartFolder, check_place
from keensight.workflow.engines import opened
from keensight.workflow.prediction_tables import Layout, Written, encode_parquet, named_model
from keensight.workflow.progress import shown
from keensight.workflow.self_test import tested

if TYPE_CHECKING:
    from keensight.nets.classifier import Classifier
    from keensight.nets.detector import Detector
    from keensight.nets.network import Engine
    from keensight.store.bundle import Bundle

_TRIES = 5
"""How often a part may be begun: if every worker that began it ended, the part itself is what ends them."""


def predict_with_workers(  # noqa: PLR0913 - public options, by keyword
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    workers: int,
    address: str | None = None,
    top: int = 5,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> Written:
    """Predict any number of images into a folder of Parquet files, on several workers.

    The rows are those of :func:`keensight.predict_to_file`. If it is stopped, a second call with the same arguments
    continues; the number of workers may be another. A part whose worker ends is done again by another one.

    Args:
        model: A run or a bundle on this machine; it is sent to the workers.
        images: Files, folders, patterns, lists, Parquet files with a column of paths or of encoded images; on this
            machine, or addresses such as ``s3://bucket/photos``. Workers on other machines must see the same files.
        out: The folder, ``NAME.parquet``, on this machine.
        workers: Number of workers, with one CPU each.
        address: The cluster (see :func:`keensight.scale.cluster.connected`); None: this machine.
        top: Number of classes per image.
        engine: What the model is opened on (see :func:`keensight.load`), with one thread in each worker.
        progress: Where to report.

    Raises:
        UsageError: Ray is not installed, there are too few CPUs, or ``out`` has predictions of another model, of other
            images, or with other options.
        DataError: there are no images, or no cluster, or a part ends every worker that begins it.
        StoreError: ``out`` cannot be written, or the bundle is damaged.
        GateError: the bundle fails its self-test.

    Examples:
        >>> predict_with_workers("runs/first", "photos", "found.parquet", workers=2).images
        120
    """
    from keensight.store.bundle import open_bundle

    installed()
    out, progress = Path(out), shown(progress)
    check_place(out)
    package = open_bundle(model)
    engine = _decided(package, engine)
    tested(package, opened(package, engine))
    parts = divided([str(one) for one in ([images] if isinstance(images, (str, Path)) else images)])
    folder = PartFolder(out, _work(package, engine, top, parts), [len(part) for part in parts])
    done = folder.done()
    total, left = sum(map(len, parts)), {n: part for n, part in enumerate(parts) if n not in done}
    if done and left:
        progress.say(f"continuing: {total - sum(map(len, left.values())):,} of {total:,} images are done")
    elif done:
        progress.say(f"all {total:,} images are done already")
    if left:
        with connected(address, workers), progress.task("predicting", sum(map(len, left.values()))) as task:
            if (count := machines()) > 1 and any(part.local for part in left.values()):
                progress.say(f"the workers are on {count} machines: files must have the same paths on all of them")
            folder.begin()
            for number, rows in _predicted(left, _Settings.of(package, engine, top), workers):
                folder.add(number, rows)
                task.advance(len(parts[number]))
    return folder.finish()


def _decided(package: Bundle, engine: Engine) -> Engine:
    """What ``auto`` means for this bundle, whatever is installed on a worker."""
    if engine != "auto":
        return engine
    return "litert" if package.has_light else "keras"


def _work(package: Bundle, engine: Engine, top: int, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "model": named_model(package.path),
        "engine": engine,
        "top": top,
        "images": digest(parts),
        "version": __version__,
    }


@dataclass(frozen=True, slots=True)
class _Settings:
    """What each worker needs."""

    files: Mapping[str, bytes]
    """Of the bundle, by name."""
    model: str
    engine: Engine
    top: int
    base: Path
    """What relative paths start from."""

    @classmethod
    def of(cls, package: Bundle, engine: Engine, top: int) -> _Settings:
        files = {path.name: path.read_bytes() for path in package.path.iterdir() if path.is_file()}
        return cls(files, named_model(package.path), engine, top, Path.cwd())


class Tally:
    """Counts how often the parts were begun, in an actor, because a worker that is killed cannot tell."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        """Count another beginning of a part."""
        self._begun[number] += 1
        return self._begun[number]


class Worker:
    """A bundle's model in a worker: takes parts of the images, and gives their rows as a Parquet file.

    Errors of this package are results, too: Ray would wrap them, and try again.

    Args:
        settings: A reference to the settings, in Ray's store.
        tally: The actor of a :class:`Tally`.
    """

    def __init__(self, settings: Any, tally: Any) -> None:
        self._ray = installed()
        self._settings: _Settings = self._ray.get(settings)
        self._tally = tally
        self._model: Any = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The rows of a part, whose number and text ``row`` has, as a Parquet file; or ``error`` and ``hint``."""
        number, part = row["number"], from_text(row["part"])
        try:
            self._begin(number, part)
            return {"number": number, "rows": self._rows(part), "error": "", "hint": "", "exit_code": 0}
        except KeensightError as error:
            told = {"error": error.message, "hint": error.hint or "", "exit_code": error.exit_code}
            return {"number": number, "rows": b"", **told}

    def _begin(self, number: int, part: Part) -> None:
        if self._ray.get(self._tally.begin.remote(number)) > _TRIES:
            raise DataError(
                f"every worker that began part {number} ended ({_TRIES} tries): {part.summary()}",
                "an image there may crash the decoder or need too much memory; without --workers you see which",
            )
        if self._model is None:
            self._model = _opened(self._settings)

    def _rows(self, part: Part) -> bytes:
        names: list[str] = []

        def sources() -> Iterator[Source]:
            for name, source in part.images(self._settings.base):
                names.append(name)
                yield source

        found = list(self._model.stream(sources()))
        layout = Layout.of(found[0], self._settings.top, self._settings.model)
        rows = [one for some in found for one in some.rows(self._settings.top)]
        named = [layout.cells({**one, "path": name}) for name, one in zip(names, rows, strict=True)]
        return encode_parquet(named, layout.columns)


def _opened(settings: _Settings) -> Classifier | Detector:
    """The model on one thread, after its self-test."""
    from keensight.store.bundle import open_bundle

    with temporary_folder() as folder:
        for name, data in settings.files.items():
            write_bytes(folder / name, data)
        if settings.engine == "keras":
            from keensight.nets.runtime import use_threads

            use_threads(1)
        package = open_bundle(folder)
        return tested(package, opened(package, settings.engine, 1))


def _predicted(left: Mapping[int, Part], settings: _Settings, workers: int) -> Iterator[tuple[int, bytes]]:
    """The numbers of parts and their rows, in the order in which they are done."""
    import ray

    try:
        for found in (_from_inside if is_client() else _results)(left, settings, workers):
            if found["error"]:
                raise _AS_RAISED[found["exit_code"]](found["error"], found["hint"] or None)
            yield found["number"], found["rows"]
    except ray.exceptions.RayError as error:
        raise DataError(
            f"a worker failed: {cause(str(error))}",
            "what is done is kept; see the logs in /tmp/ray/session_latest/logs",
        ) from error


def _results(left: Mapping[int, Part], settings: _Settings, workers: int) -> Iterator[dict[str, Any]]:
    """What workers give, in the order in which they are done."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    sent = ray.put(settings)  # held here for workers that start later
    tally = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Tally).remote()
    with _quiet(), DataContext.current(context):
        texts = [{"number": number, "part": part.as_text()} for number, part in left.items()]
        found = ray.data.from_items(texts, override_num_blocks=len(texts)).map(
            Worker,
            fn_constructor_args=(sent, tally),
            compute=ActorPoolStrategy(size=min(workers, len(texts)), max_tasks_in_flight_per_actor=2),
            num_cpus=1,
        )
        yield from found.iter_rows()


class Inside:
    """Runs Ray Data in an actor of the cluster, as Ray's client cannot run it."""

    def __init__(self, left: Mapping[int, Part], settings: _Settings, workers: int) -> None:
        self._results = _results(left, settings, workers)

    def next(self) -> dict[str, Any] | None:
        """The next result; None: there is no more."""
        return next(self._results, None)


def _from_inside(left: Mapping[int, Part], settings: _Settings, workers: int) -> Iterator[dict[str, Any]]:
    import ray

    actor = ray.remote(num_cpus=0)(Inside).remote(left, settings, workers)
    while (found := ray.get(actor.next.remote())) is not None:
        yield found


_AS_RAISED: dict[int, type[KeensightError]] = {1: DataError, 2: UsageError, 3: GateError}
"""Exit code to the class of error."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's notes from standard error; its log file has them."""
    handlers = [one for one in logging.getLogger("ray.data").handlers if isinstance(one, logging.StreamHandler)]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
