# The server on a CPU: `docker build -t pubvec .`, then `docker run -v ./index:/index:ro -p 127.0.0.1:8000:8000 -e PUBVEC_API_KEY=... pubvec`.
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[search,serve]"

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels "pubvec[search,serve]" \
    && useradd --create-home --uid 10001 pubvec
USER pubvec
WORKDIR /home/pubvec
# The model is in the package, so nothing is fetched; the index is mounted, and only read.
ENV HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Other machines reach this address, so the server asks for PUBVEC_API_KEY and does not start without it.
ENTRYPOINT ["pubvec"]
CMD ["serve", "/index", "--host", "0.0.0.0", "--port", "8000"]
