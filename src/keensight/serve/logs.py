"""One JSON document a line on standard error: requests and events, never the content of an image."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("keensight.serve")
_OTHERS = ("uvicorn.error",)


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def write_as_json(quiet: bool) -> None:
    """Send this process' log to standard error.

    Args:
        quiet: Only warnings and errors.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    for logger in (LOGGER, *map(logging.getLogger, _OTHERS)):
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    if not quiet:
        LOGGER.setLevel(logging.INFO)


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log something that happened, with its fields."""
    LOGGER.log(level, name, extra={"fields": fields})
