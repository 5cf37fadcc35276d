/**
 * Node's own `node:http`. An `import` of it reads each of its exports, and from Node 22.5 on one of them, `WebSocket`, loads
 * all of undici, which nothing here uses: 70 ms of CPU and 6 MiB of every process, as docs/explanation/performance.md has it.
 */
export const http = process.getBuiltinModule('node:http')
