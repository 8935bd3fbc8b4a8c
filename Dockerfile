# Keeper as a service: no root, nothing written outside /data.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock requirements-run.lock ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /opt/keeper && /opt/keeper/bin/pip install --no-cache-dir --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY keeper keeper
COPY abis abis
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/keeper/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home --home-dir /data keeper
COPY --from=build /opt/keeper /opt/keeper
COPY config /etc/keeper
ENV PATH=/opt/keeper/bin:$PATH PYTHONUNBUFFERED=1 KEEPER_DATABASE=/data/keeper.sqlite
USER 10001
WORKDIR /data
VOLUME /data
# /healthz says whether blocks are mirrored. Without a port there is nothing to ask.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m CMD ["python", "-c", "import http.client, os, sys; port = os.environ.get('KEEPER_HTTP__PORT') or sys.exit(0); asked = http.client.HTTPConnection('127.0.0.1', int(port), timeout=5); asked.request('GET', '/healthz'); told = asked.getresponse(); print(told.read().decode()); sys.exit(told.status != 200)"]
ENTRYPOINT ["keeper"]
CMD ["run", "-c", "/etc/keeper/keeper.yaml"]
