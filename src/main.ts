import cluster from 'node:cluster'
import { EXIT_CONFIG, StartupError } from './common/errors.ts'
import { keepCompiledCode } from './config/compile-cache.ts'

// First of all. Workers ignore signals: terminals and Docker send them to the whole process group, and only the primary decides
// what they mean. The primary needs listeners because process 1 of a container ignores signals that have none; until it has
// started, there is nothing to drain.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (cluster.isPrimary && signal !== 'SIGHUP') process.exit(0)
  })
}

keepCompiledCode()
try {
  const { loadConfig } = await import('./config/load.ts')
  if (cluster.isPrimary) await (await import('./primary/primary.ts')).runPrimary(loadConfig())
  else await (await import('./worker/worker.ts')).runWorker((pair) => loadConfig(undefined, pair))
} catch (error) {
  if (!(error instanceof StartupError)) throw error
  process.stderr.write(`muster: ${error.message}\n`)
  process.exit(EXIT_CONFIG)
}
