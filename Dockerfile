# One image for web, worker, beat and every command: docker build --tag sluice .
# `sluice` is its entry point: `docker run sluice worker`, `docker run sluice create_organization …`.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source

# Dependencies first: a change of the code leaves this layer as it is. Without pip and without byte code, which comes below.
# --build-arg REQUIREMENTS="otlp oidc s3" brings what SLUICE_OTLP_ENDPOINT, SLUICE_OIDC_ISSUER and SLUICE_BACKUP_BUCKET need.
ARG REQUIREMENTS=base
COPY requirements/*.txt requirements/
RUN python -m venv /build \
    && /build/bin/pip install --quiet --require-hashes --requirement requirements/build.txt \
    && python -m venv --without-pip /opt/sluice \
    && /build/bin/pip --python /opt/sluice/bin/python install --quiet --no-compile --require-hashes $(printf -- '--requirement requirements/%s.txt ' ${REQUIREMENTS})

COPY . .
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /build/bin/pip --python /opt/sluice/bin/python install --quiet --no-compile --no-index /wheel/*.whl

# Compressed, and named by their contents, as production serves them. The secrets only let the settings be read; no layer of the
# image has them.
RUN /opt/sluice/bin/sluice secrets >/tmp/secrets && set -a && . /tmp/secrets \
    && DATABASE_URL=postgres://none REDIS_URL=redis://none ALLOWED_HOSTS=none SLUICE_STATIC_ROOT=/opt/sluice/static \
        SLUICE_DATA_DIR=/tmp/data /opt/sluice/bin/sluice collectstatic --no-input --verbosity 0 --ignore redoc

# What is read no more: what was collected, maps for debuggers, translations (the panel has one language), the compressor. Then
# byte code, which a read-only file system cannot get later.
RUN find /opt/sluice/static -name '*.map*' -delete \
    && find /opt/sluice/lib -path '*/static/*' -type f -delete \
    && find /opt/sluice/lib '(' -name '*.po' -o -name '*.mo' ')' -delete \
    && /build/bin/pip --python /opt/sluice/bin/python uninstall --quiet --yes brotli \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/sluice/lib



FROM ${BASE}
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="A control panel for mail-sending platforms" \
      org.opencontainers.image.licenses="MIT"

# By number: Kubernetes checks `runAsNonRoot` by it.
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --no-create-home --home-dir /data --shell /usr/sbin/nologin sluice \
    && install --directory --owner sluice --group sluice --mode 0700 /data /backups

COPY --from=build /opt/sluice /opt/sluice

# /data: beat's memory and, without DATABASE_URL, the database. /tmp: gunicorn's heartbeats and metrics. Nothing else is written.
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SLUICE_BIND=0.0.0.0 \
    SLUICE_DATA_DIR=/data \
    SLUICE_STATIC_ROOT=/opt/sluice/static
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

# Without HEALTHCHECK: web, worker and beat are the same image. compose.yaml and deploy/kubernetes have web's.
ENTRYPOINT ["sluice"]
CMD ["web"]
