# The app and its workers. Built in one stage, run in another, by a user who owns nothing but /data.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/lora
COPY requirements.txt pyproject.toml README.md LICENSE ./
# Dependencies first: a change of our own code does not install them anew.
RUN /opt/lora/bin/pip install --no-cache-dir -r requirements.txt "kombu[redis]>=5.5" "distributed>=2026.8"
COPY lora_builder lora_builder
RUN /opt/lora/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home lora \
    && install --directory --owner=lora /data
COPY --from=build /opt/lora /opt/lora
ENV PATH=/opt/lora/bin:$PATH PYTHONUNBUFFERED=1 LORA_DATA_DIR=/data
USER 10001
WORKDIR /home/lora
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
# It listens on the container's own loopback; compose.yaml opens it to this machine.
CMD ["lora-dataset-builder", "app"]
