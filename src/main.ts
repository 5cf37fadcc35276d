import { keepCompiledCode, loadModule } from './config/code-loading.ts'

// The entry of a worker process. Workers ignore signals: terminals and Docker send them to the whole process group, and only the
// primary decides what they mean.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})

keepCompiledCode()
const { loadConfig } = await loadModule<typeof import('./config/load.ts')>('config/load.js')
const { runWorker } = await loadModule<typeof import('./worker/worker.ts')>('worker/worker.js')
await runWorker((pair) => loadConfig(undefined, { pair }))
