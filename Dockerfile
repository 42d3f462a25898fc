# No `# syntax=` line: any builder of the last years can build this, without fetching a frontend first.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
# Where packages come from, when it is not npm's own registry.
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json ./
COPY src ./src
# What is compiled starts sooner and holds less: a health check is a start every ten seconds.
RUN npm ci && npm run build && chmod +x dist/weir.js && find dist -name '*.map' -delete
# The optional packages are Node.js, which the base image has. SQLite comes built for other systems too, and as source.
RUN npm ci --omit=dev --omit=optional \
 && cd node_modules/better-sqlite3 && rm -r deps src \
 && find prebuilds -type f ! -name 'linux-*' -delete \
 && node -e "new (require('better-sqlite3'))(':memory:')"

FROM ${NODE_IMAGE}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Weir" \
      org.opencontainers.image.description="A pull-through caching mirror for container images that keeps the node's progress watchdog quiet" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Group 0 may write, so that any user of that group can run it: OpenShift chooses one.
RUN install -d -o 65532 -g 0 -m 2770 /data
COPY LICENSE package.json /app/
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
RUN ln -s /app/dist/weir.js /usr/local/bin/weir
ENV NODE_ENV=production WEIR_LISTEN=0.0.0.0:5000 WEIR_ADMIN=0.0.0.0:5001 WEIR_DATA_DIR=/data
WORKDIR /data
VOLUME /data
USER 65532:0
EXPOSE 5000 5001
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["weir", "healthcheck"]
ENTRYPOINT ["weir"]
CMD ["serve"]
