# A server for one model, without TensorFlow. No model is inside: mount a bundle at /model, or copy one in an image FROM this one.
#
#   docker build --tag keensight-serve .
#   docker run --publish 127.0.0.1:8000:8000 --volume ./runs/first/bundle:/model:ro keensight-serve

FROM python:3.12-slim AS build
COPY . /src
RUN python -m venv /opt/keensight
RUN /opt/keensight/bin/pip install --no-cache-dir "/src/packaging/runtime[serve]"

FROM python:3.12-slim
COPY --from=build /opt/keensight /opt/keensight
# The cache only keeps that the self-test was passed, so it may be lost.
ENV PATH=/opt/keensight/bin:$PATH KEENSIGHT_CACHE=/tmp/keensight PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["keensight", "serve", "/model", "--host", "0.0.0.0", "--name", "model"]
