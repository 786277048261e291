# slim, not alpine: ONNX Runtime and the embedded PostgreSQL are built against glibc.
FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:20-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# ONNX Runtime's package holds the binaries of every platform; only Linux's can run here.
RUN npm ci --omit=dev && rm -rf node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32

FROM node:20-slim
# Others reach a container: at its first start it prints a token for its administrator.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000 ESPALIER_DATA_DIRECTORY=/data ESPALIER_FIRST_TOKEN=true
WORKDIR /app
COPY package.json ./
COPY models models
COPY prisma prisma
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 4000
HEALTHCHECK --start-period=30s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
