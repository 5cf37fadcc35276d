FROM node:24-trixie-slim AS base
WORKDIR /app

# Layers that depend on the lock file only come first, so that a change of the source does not rebuild them.
FROM base AS dependencies
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts

FROM base AS build
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY tsconfig.json ./
COPY scripts/build.mjs scripts/bundle.mjs scripts/
COPY src src
RUN npm run -s build

FROM base
ENV NODE_ENV=production HOST=0.0.0.0 RUN_DIR=/run/muster
# The service writes to RUN_DIR only. With a read-only root file system, mount a tmpfs there.
RUN install -d -o node -g node -m 0700 "$RUN_DIR" && ln -s /app/dist/src/cli/muster.js /usr/local/bin/muster
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY --from=build /app/dist/src dist/src
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
# Liveness, not readiness: a new container would not help while Redis is down. The app may have moved /livez, and answer 404.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "(process.env.TLS_CERT ? https : http).get({ host: '127.0.0.1', port: process.env.PORT || 8080, path: '/livez', timeout: 2000, rejectUnauthorized: false }, (answer) => process.exit(answer.statusCode < 500 ? 0 : 1)).on('timeout', () => process.exit(1))"]
# The primary is process 1: it receives the signals and reaps its workers.
CMD ["node", "dist/src/cli/muster.js", "start", "dist/src/routes/index.js"]
