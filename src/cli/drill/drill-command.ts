import { accessSync, constants, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { EXIT_CONFIG, StartupError } from '../../common/errors.ts'
import { printable } from '../../common/text/printable.ts'
import { UsageError } from '../../config/sources/flags.ts'
import { drill } from '../../drill/drill.ts'
import { DrillError, Interrupted } from '../../drill/drill-errors.ts'
import { hasFailed, judge } from '../../drill/judgement/judge-promises.ts'
import type { Observations } from '../../drill/observations.ts'
import { toHtml, toMarkdown } from '../../drill/report/render-report.ts'
import { reportPage } from '../../drill/report/report-page.ts'
import type { DrillTarget } from '../../drill/service-watch.ts'
import { isLoopback, readServiceSettings } from '../../drill/target-settings.ts'
import { ServiceNotRunning, sendCommand, watchEvents } from '../admin-client.ts'
import { findService, NoServiceError } from '../find-service.ts'
import { jsonLine } from '../output/format.ts'
import { type DrillArguments, readDrillArguments } from './drill-arguments.ts'
import { drillHelp } from './drill-help.ts'

const EXIT_USAGE = 2

/** `muster drill`: tests a running service from outside. Ends this process. */
export async function drillCommand(args: string[]): Promise<void> {
  try {
    const given = readDrillArguments(args)
    if (given.wantsHelp) return end(0, drillHelp())
    const seen = await run(given)
    const judged = judge(seen)
    const page = reportPage(seen, judged)
    if (given.html !== undefined) writeFileSync(given.html, toHtml(page))
    const isOk = !hasFailed(seen, judged)
    end(isOk ? 0 : 1, given.json ? jsonLine({ ok: isOk, promises: judged, observations: seen }) : toMarkdown(page))
  } catch (error) {
    const isUsage = error instanceof UsageError
    const isExpected = [DrillError, Interrupted, NoServiceError, ServiceNotRunning, StartupError].some(
      (kind) => error instanceof kind
    )
    if (!isUsage && !isExpected) throw error
    process.stderr.write(`muster: ${(error as Error).message.split('\n').map(printable).join('\n  ')}\n`)
    end(isUsage ? EXIT_USAGE : error instanceof StartupError ? EXIT_CONFIG : 1)
  }
}

async function run(given: DrillArguments): Promise<Observations> {
  if (given.html !== undefined) checkWritable(given.html)
  const { runDir, socketPath, notice } = await findService(given.sources)
  if (notice) process.stderr.write(`muster: ${notice}\n`)
  const target: DrillTarget = {
    runDir,
    ask: (command, args = {}) => sendCommand(socketPath, command, args),
    watch: (signal) => watchEvents(socketPath, signal)
  }
  const settings = await readServiceSettings(target)
  if (!isLoopback(settings.host) && !given.isForced) {
    throw new UsageError(
      `the service listens on ${settings.host}, where other machines reach it, and a drill makes their requests fail: ` +
        'start one with HOST=127.0.0.1, or add --force'
    )
  }
  const interrupt = new AbortController()
  const onSignal = () => {
    process.stderr.write('muster: taking every fault back\n')
    interrupt.abort()
  }
  // A second signal ends this process at once. The shells that hold faults take them back then.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, onSignal)
  return drill(target, settings, {
    requests: given.requests,
    faults: given.faults,
    maxMs: given.seconds * 1000,
    maxRequests: given.maxRequests,
    signal: interrupt.signal,
    onProgress: (text) => process.stderr.write(`muster: ${printable(text)}\n`)
  })
}

/** A drill of three minutes must not end without its page. @throws UsageError */
function checkWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK)
  } catch (error) {
    throw new UsageError(`--html ${file} cannot be written: ${(error as Error).message}`)
  }
}

/** Ends this process: connections of the drill to workers that do not answer may still be open. */
function end(code: number, text = ''): void {
  process.stdout.write(text, () => process.exit(code))
}
