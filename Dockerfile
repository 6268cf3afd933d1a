# syntax=docker/dockerfile:1

# The image brings its own Node: the one that npm installs as an optional dependency is for machines without it.
FROM node:26-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:26-bookworm-slim
LABEL org.opencontainers.image.title="llm-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATA_DIR=/data
WORKDIR /app
# Owned by root and not writable: the process may write to /data alone.
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY gen ./gen
COPY src ./src
COPY simulator ./simulator
RUN install -d -o node -g node -m 0700 /data
USER node
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# Liveness: a gateway that is not ready must not be restarted for it. Has to be overridden where TLS is configured.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# As `npm start`.
CMD ["node", "--min-semi-space-size=64", "--max-semi-space-size=64", "src/main.ts"]
