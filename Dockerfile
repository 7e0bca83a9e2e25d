# Cutover in an image of its own: the same lock as `make install`, no compiler, no root.
#   docker build -t cutover .
#   docker run --rm cutover simulate plans/vaos-service-integration.yaml
#   docker run -p 127.0.0.1:8080:8080 -v cutover:/data cutover up --host 0.0.0.0

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/cutover
COPY requirements.lock ./
RUN /opt/cutover/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY events ./events
COPY projections ./projections
COPY services ./services
RUN /opt/cutover/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data cutover && install -d -o cutover -g cutover /data
COPY --from=build /opt/cutover /opt/cutover
COPY plans /opt/cutover/plans
ENV PATH=/opt/cutover/bin:$PATH CUTOVER_DATA=/data PYTHONUNBUFFERED=1
WORKDIR /opt/cutover
USER cutover
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["cutover"]
CMD ["up", "--host", "0.0.0.0"]
