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
# Without the development packages in it, the lockfile holds none that only they ask for: Prisma's command line, TypeScript.
RUN npm pkg delete devDependencies && npm install --package-lock-only && npm ci
# Two packages hold what cannot run here: ONNX Runtime of other platforms, and query compilers of other databases.
RUN cd node_modules && rm -rf onnxruntime-node/bin/napi-v6/darwin onnxruntime-node/bin/napi-v6/win32 && \
  rm -f @prisma/client/runtime/*.cockroachdb.* @prisma/client/runtime/*.mysql.* @prisma/client/runtime/*.sqlite.* @prisma/client/runtime/*.sqlserver.*

FROM node:20-slim
# Others reach a container: at its first start it prints a token for its administrator.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000 ESPALIER_DATA_DIRECTORY=/data ESPALIER_FIRST_TOKEN=true
WORKDIR /app
COPY package.json ./
COPY models models
COPY prisma prisma
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/assets assets
COPY --from=build /app/dist dist
RUN ln -s /app/dist/main.js /usr/local/bin/espalier && mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 4000
HEALTHCHECK --start-period=30s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["espalier", "start"]
