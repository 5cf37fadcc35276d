/**
 * Node's `node:http`, without an import of it. Since Node 22.5 an import evaluates the export `WebSocket`, which loads undici:
 * 70 ms of CPU and 6 MiB in every process (measured, docs/explanation/performance.md).
 */
export const http = process.getBuiltinModule('node:http')
