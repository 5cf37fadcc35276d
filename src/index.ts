/**
 * Public face of the package: everything that an app may import. Importing it also types what the app gets from the service:
 * `app.shared`, `app.sessions`, `app.redis`, `app.metrics`, `app.worker`, `app.cluster()`, `app.workerRequestCounts()`,
 * `app.draining`, `app.signInLimit`, and the options of a route in `config` (`session`, `countsHit`, `countsVisit`, `quiet`,
 * `bypassLimits`, `crossSite`, `port`, `rateLimit`, `requestTimeout`, `resumable`). docs/reference/app-api.md describes them.
 */

export { HttpError } from './common/errors.ts'
export { array, object, oneOf, type Static } from './common/json-schema.ts'
export { type AppOptions, defineApp } from './http/app-options.ts'
export {
  type Asset,
  assetFrom,
  fillTemplate,
  PAGE_POLICY,
  readAsset,
  sendAsset,
  serveAssets
} from './http/pages/assets.ts'
export { openEventStream } from './http/pages/event-stream.ts'
export { SnapshotStream } from './http/pages/snapshot-stream.ts'
export { countHit } from './http/plugins/session/counted-hit.ts'
export { countVisit, readVisits } from './http/plugins/session/visits.ts'
export type { RequestSession, Sessions, Shared, WorkerInfo } from './http/public-types.ts'
export { type AnyRequest, type GetState, transferable, transferredState, wasTransferred } from './http/transferable.ts'
export type { TypedRoutes } from './http/typed-routes.ts'
export { defineConfig, type StartOptions, start } from './start.ts'
