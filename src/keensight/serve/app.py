"""The addresses of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

import keensight
from keensight.serve import documents
from keensight.serve.pool import Outcome
from keensight.serve.prometheus import CONTENT_TYPE
from keensight.serve.rejection import Problem, Reason, Rejected
from keensight.serve.service import Service, State
from keensight.serve.uploads import Body, Upload

_MOST = 1000

router = APIRouter()


def application(service: Service) -> FastAPI:
    """The application for one model."""
    app = FastAPI(
        title=f"Keensight: {service.settings.name}", version=keensight.__version__, docs_url=None, redoc_url=None,
        exception_handlers={
            Rejected: _rejected, RequestValidationError: _invalid, HTTPException: _http_error, Exception: _failed
        },
    )  # fmt: skip
    app.state.service = service
    app.include_router(router)
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(body.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def refusal(problem: Problem, rows: Sequence[Mapping[str, Any]] | None = None) -> Response:
    """The response to a refused request."""
    headers = {} if problem.retry_after is None else {"retry-after": str(problem.retry_after)}
    if problem.reason == Reason.NO_TOKEN:
        headers["www-authenticate"] = "Bearer"
    error = {"code": problem.reason.value, "message": problem.message, "hint": problem.hint}
    document = {"error": error} if rows is None else {"error": error, "predictions": rows}
    return _json(document, problem.status, headers)


async def _rejected(request: Request, error: Exception) -> Response:
    assert isinstance(error, Rejected)
    _service(request).count(error.problem)
    request.scope["reason"] = error.problem.reason
    return refusal(error.problem)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    message = f"{first['loc'][-1]}: {first['msg']}"
    return await _rejected(request, Rejected(Problem(Reason.INVALID, message, "see /openapi.json")))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {"code": "not_found" if error.status_code == 404 else "http", "message": error.detail, "hint": "see /docs"}
    return _json({"error": words}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(Problem(Reason.FAILED, "the server failed", "its log has the reason"))


@router.post(
    "/predict", response_model=documents.Predicted, responses=documents.REFUSALS, openapi_extra=documents.BODY,
    summary="Predict one or more images", tags=["predict"],
)  # fmt: skip
async def predict(
    request: Request, top: int = Query(5, ge=1, le=_MOST, description="number of classes to list per image")
) -> Response:
    """Send one image as the body, or several in a form.

    With several images the status is 200 if at least one was predicted; the others have their `error`.
    """
    service = _service(request)
    service.check_open()
    body = Body(request, service.settings, service.room)
    try:
        uploads = await body.uploads()
        request.scope["images"], request.scope["bytes"] = len(uploads), body.size
        if service.settings.log_names:
            request.scope["names"] = [upload.name for upload in uploads]
        outcomes = await _outcomes(service, uploads, top)
    finally:
        body.release()
    return _predicted(request, service, uploads, outcomes)


async def _outcomes(service: Service, uploads: Sequence[Upload], top: int) -> list[Outcome]:
    results = service.pool.submit([upload.image for upload in uploads], top)
    try:
        async with asyncio.timeout(service.settings.timeout):
            return [await result for result in results]
    except TimeoutError as error:
        for result in results:
            result.cancel()
        message = f"no prediction within {service.settings.timeout:g} seconds"
        problem = Problem(Reason.TIMEOUT, message, "try again later", service.pool.retry_after())
        raise Rejected(problem) from error


def _predicted(request: Request, service: Service, uploads: Sequence[Upload], outcomes: Sequence[Outcome]) -> Response:
    request.scope["queued"] = max(outcome.queued for outcome in outcomes)
    rows = [
        {**outcome.row, "path": upload.name or f"image {i}"}
        for i, (upload, outcome) in enumerate(zip(uploads, outcomes, strict=True))
    ]
    problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    for problem in problems:
        service.count(problem)
    if len(problems) == len(outcomes):
        request.scope["reason"] = problems[0].reason
        if any(problem.reason == Reason.FAILED for problem in problems):
            return refusal(next(problem for problem in problems if problem.reason == Reason.FAILED))
        return refusal(_of_all(problems), rows)
    return _json({"model": service.model, "predictions": rows})


def _of_all(problems: Sequence[Problem]) -> Problem:
    """The problem of a request whose images all have one."""
    if len({problem.reason for problem in problems}) == 1:
        return problems[0]
    return Problem(Reason.UNREADABLE, "none of the images could be read", "the rows have the reasons")


@router.get("/labels", responses=documents.UNAUTHORIZED, summary="Labels, input size and decision rule")
async def labels(request: Request) -> Response:
    """What the model predicts, and when it abstains."""
    return _json(_service(request).description())


@router.get("/healthz", summary="Whether the process is alive", tags=["health"])
@router.get("/v2/health/live", include_in_schema=False)
async def alive(request: Request) -> Response:
    """Always 200."""
    return _json({"status": "alive", "live": True})


@router.get(
    "/readyz", responses={503: {"description": "starting or stopping"}}, tags=["health"],
    summary="Whether the model passed its self-test and the server is not stopping",
)  # fmt: skip
@router.get("/v2/health/ready", include_in_schema=False)
async def ready(request: Request) -> Response:
    """200 from the passed self-test to the stop signal, else 503."""
    state = _service(request).state
    if state == State.READY:
        return _json({"status": state, "ready": True})
    return _json({"status": state, "ready": False}, 503, {"retry-after": "1"})


@router.get(
    "/metrics", responses=documents.UNAUTHORIZED | documents.TEXT, response_class=PlainTextResponse,
    summary="Metrics for Prometheus",
)  # fmt: skip
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    return Response(_service(request).metrics.text(), media_type=CONTENT_TYPE)


@router.get("/drift", responses=documents.UNAUTHORIZED, summary="Whether what comes in is like the test images")
async def drift(request: Request) -> Response:
    """The comparison of the last complete window of images with the images that the model was tested on."""
    service = _service(request)
    if service.watch is None:
        return _json(
            {"model": service.model, "watched": False, "sentence": "the bundle has no measurements to compare"}
        )
    return _json({"model": service.model, "watched": True, **service.watch.document()})


@router.get("/v2", include_in_schema=False)
async def server_metadata(request: Request) -> Response:
    """The server, as in the Open Inference Protocol (V2)."""
    return _json({"name": "keensight", "version": keensight.__version__, "extensions": []})


@router.get("/v2/models/{name}", include_in_schema=False)
async def model_metadata(request: Request, name: str) -> Response:
    """The model, as in the Open Inference Protocol (V2)."""
    service = _service(request)
    if name != service.settings.name:
        raise HTTPException(404, f"there is no model {name!r}")
    size, classes = service.manifest.image, len(service.manifest.labels)
    return _json(
        {
            "name": name,
            "versions": [service.digest],
            "platform": "keensight",
            "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, *size.shape]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]}],
        }
    )


@router.get("/v2/models/{name}/ready", include_in_schema=False)
async def model_ready(request: Request, name: str) -> Response:
    """As ``/readyz``, of one model."""
    if name != _service(request).settings.name:
        raise HTTPException(404, f"there is no model {name!r}")
    return await ready(request)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The addresses of the server as a page."""
    return HTMLResponse(documents.page(request.app.openapi(), _service(request).settings.name))


@router.get("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """The page for people: choose or photograph an image and see its prediction."""
    page = _service(request).page
    return RedirectResponse("docs") if page is None else HTMLResponse(page)
