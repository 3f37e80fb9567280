# Radstream: one image for every process of ours. `docker build -t radstream .`
#
# BASE may be any Debian 12 image (its Python is 3.11). Behind a proxy with a certificate of its own, use one that trusts it.
ARG BASE=debian:bookworm-slim

# --- the libraries, with tools that are then left behind -----------------------------------------------------------------
FROM ${BASE} AS libraries
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends binutils ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements/bootstrap.txt requirements/product.txt requirements/
COPY deploy/compose/slim.py /slim.py
# The environment itself gets no pip: an installer inside a product is a door. All stages have the same python3, which it links to.
# Compiled here, once: the file system of a container is read-only, and each process would compile everything again at its start.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/installer \
    && /opt/installer/bin/python -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt \
    && /opt/installer/bin/python -m venv --without-pip /opt/radstream \
    && /opt/installer/bin/python -m pip --python /opt/radstream/bin/python install --quiet --require-hashes \
        --no-compile --requirement requirements/product.txt \
    && python3 /slim.py /opt/radstream/lib/python3.11/site-packages \
    && python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash /opt/radstream/lib

# --- our own code, in a layer of its own: an upgrade fetches this one, not the libraries -------------------------------------
FROM libraries AS own
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY runtime runtime
COPY inference inference
COPY stream_processors stream_processors
COPY producers producers
COPY sinks sinks
COPY portal_api portal_api
COPY deploy deploy
COPY cli cli
RUN /opt/installer/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/installer/bin/python -m pip install --quiet --no-deps --no-compile --target /own /wheel/*.whl \
    && rm -rf /own/bin \
    && python3 -m compileall -q -s /own -p /opt/radstream/lib/python3.11/site-packages \
        --invalidation-mode unchecked-hash /own

# --- the product ----------------------------------------------------------------------------------------------------------
FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Radstream" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/lib/python3.11/test \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && groupadd --gid 10001 radstream \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/radstream --shell /usr/sbin/nologin radstream \
    && install -d -o radstream -g radstream -m 0700 /var/lib/radstream /var/lib/radstream/compose \
        /var/lib/radstream/compose/secrets \
        /var/lib/radstream/compose/s3-keys /var/lib/radstream/models
COPY --from=libraries /opt/radstream /opt/radstream
COPY --from=own /own /opt/radstream/lib/python3.11/site-packages
ENV PATH=/opt/radstream/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    RADSTREAM_HOME=/var/lib/radstream \
    RADSTREAM_SETTINGS=/var/lib/radstream/compose/settings.toml \
    RADSTREAM__HEALTH__HOST=0.0.0.0 \
    RADSTREAM__HEALTH__PORT=9464
USER 10001:10001
WORKDIR /var/lib/radstream
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "runtime.probe", "readyz"]
# docker run radstream producers stow | stream_processors STEP | sinks NAME | sinks notify CHANNEL | portal_api | cli COMMAND
ENTRYPOINT ["python", "-m"]
CMD ["cli", "--help"]
