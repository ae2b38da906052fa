# The image of crmhouse and its Prefect flows: how to build and run it, and figures, docs/image.md.

ARG BASE_IMAGE=python:3.11-slim-bookworm

# Every stage starts from the same base, so what one compiles fits the Python of the others.
FROM ${BASE_IMAGE} AS libraries
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all:
# The tools that build stay in an environment of their own; the one that is shipped has no pip.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/crmhouse
COPY requirements.lock requirements-build.lock deployments/image/parts.py ./
# The secrets are for closed networks, pip's configuration and the certificates that it may name;
# they are there for this one command and leave nothing in a layer. Bytecode is compiled here
# because the file system is read-only at run time; it does not depend on file times, which
# differ after a copy. Tests and C headers of the largest libraries are imported by nothing, Arrow's
# RPC and its own S3 neither (ours is s3fs), and of the four hundred services of AWS we know one.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_certificates \
    /tools/bin/pip install --require-hashes --no-deps --no-compile -r requirements-build.lock \
    && /tools/bin/pip --python /opt/crmhouse/bin/python install \
        --require-hashes --no-deps --no-compile -r requirements.lock \
    && packages="$(/opt/crmhouse/bin/python -c 'import site; print(site.getsitepackages()[0])')" \
    && rm -rf "$packages/pyarrow/include" "$packages/pyarrow/tests" "$packages/pandas/tests" \
        "$packages"/pyarrow/*flight* "$packages"/pyarrow/libarrow_s3* "$packages"/pyarrow/_s3fs* \
    && find "$packages/botocore/data" -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -rf '{}' + \
    && find "$packages/numpy" "$packages/scipy" "$packages/networkx" -type d -name tests -prune \
        -exec rm -rf '{}' + \
    && /opt/crmhouse/bin/python parts.py requirements.lock /opt/crmhouse/share/doc/crmhouse \
    && echo /app > "$packages/app.pth" \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages"

# In a folder and a layer of its own: a new version of the code is a small pull.
FROM libraries AS application
COPY . .
RUN /tools/bin/hatchling build --target wheel \
    && /tools/bin/pip --python /opt/crmhouse/bin/python install \
        --no-index --no-deps --no-compile --target /app dist/*.whl \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /app \
    && cp prefect.yaml /app

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="crmhouse" \
      org.opencontainers.image.description="Customers and sales in PostgreSQL: resolved, tested, published" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.crmhouse.sbom="/opt/crmhouse/share/doc/crmhouse/sbom.cdx.json" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user has a name because PostgreSQL's programs refuse one without; the group is root's for
# platforms that run containers as a user of their choice in that group. The base's own library
# is compiled where the base has not done so, and the base's package tools go.
RUN groupadd --gid 10001 crmhouse \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/crmhouse \
        --shell /usr/sbin/nologin crmhouse \
    && install -d -o 10001 -g 0 -m 770 /var/lib/crmhouse \
    && python3 -m compileall -q -j 0 "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && if python3 -m pip --version > /dev/null 2>&1; then \
        python3 -m pip uninstall --yes --quiet setuptools wheel pip; fi
COPY --from=libraries /opt/crmhouse /opt/crmhouse
COPY --from=application /app /app
# Everything that is written goes below /var/lib/crmhouse, a volume, or /tmp, a tmpfs. The pages of
# Prefect's server too: it copies them at its start, and without a place for them shows none.
ENV PATH=/opt/crmhouse/bin:/app/bin:$PATH \
    LANG=C.UTF-8 \
    HOME=/var/lib/crmhouse \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CRMHOUSE_HOME=/var/lib/crmhouse \
    PREFECT_HOME=/var/lib/crmhouse/prefect \
    DO_NOT_TRACK=1 \
    GX_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/var/lib/crmhouse/ui
WORKDIR /app
VOLUME /var/lib/crmhouse
USER 10001:10001
# No ENTRYPOINT: Prefect's Docker and Kubernetes workers pass `prefect flow-run execute` as the
# container's arguments, and an entrypoint would stand in front of it.
CMD ["crmhouse", "--help"]
