# The runner itself as an image, driving a Docker host through its socket:
#   docker build -t runner .
#   docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v "$PWD/output:/app/output" runner --runs 10
# Whoever may talk to that socket is as good as root on the engine's machine: see SECURITY.md.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG http_proxy
ARG https_proxy
ARG no_proxy
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /app
# Wheels in the build context are used where there are any; else pip's index. Either way every hash must fit.
COPY requirements.lock wheel[s] /tmp/in/
RUN python3 -m venv /opt/runner \
 && if ls /tmp/in/*.whl >/dev/null 2>&1; then from="--no-index --find-links /tmp/in"; else from=""; fi \
 && /opt/runner/bin/pip install --no-cache-dir --require-hashes $from -r /tmp/in/requirements.lock \
 && rm -rf /tmp/in
COPY runner runner
COPY images images
COPY problem_data problem_data
ENV PATH=/opt/runner/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "runner"]
