# The command `outreach` in an image: exact versions, an ordinary user, the office's folder as a volume.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY outreach outreach
COPY templates templates
COPY contacts contacts
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_BUILD_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/outreach && /opt/outreach/bin/pip install '.[aliyun]'

FROM python:3.12-slim
COPY --from=build /opt/outreach /opt/outreach
RUN useradd --uid 10001 --home-dir /var/lib/outreach --create-home outreach
ENV PATH=/opt/outreach/bin:$PATH PYTHONUNBUFFERED=1 PYTHONUTF8=1 OUTREACH_HOME=/var/lib/outreach
USER outreach
WORKDIR /var/lib/outreach
VOLUME /var/lib/outreach
EXPOSE 8000
ENTRYPOINT ["outreach"]
CMD ["--help"]
