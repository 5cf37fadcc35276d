import { keepCompiledCode } from './config/compile-cache.ts'

// The entry of a worker process. Workers ignore signals: terminals and Docker send them to the whole process group, and only the
// primary decides what they mean.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})

keepCompiledCode()
const { loadConfig } = await import('./config/load.ts')
const { runWorker } = await import('./worker/worker.ts')
await runWorker((pair) => loadConfig(undefined, { pair }))
