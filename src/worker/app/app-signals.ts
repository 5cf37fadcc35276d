import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../common/log.ts'

type Listener = (signal: NodeJS.Signals, number: number) => unknown
type Ending = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

/** How long listeners that return a promise may take, in ms. */
const MAX_WAIT_MS = 5000
/** How long to wait for others, which may end the process in a callback, in ms. */
const CALLBACK_WAIT_MS = 500

/** Listeners of the app for signals that end a program. They run when the worker has drained, and not at the signal. */
const deferred: Record<Ending, Listener[]> = { SIGTERM: [], SIGINT: [], SIGHUP: [] }

/**
 * Keeps listeners that the app adds from now on away from signals. A program closes its server at SIGTERM and exits; here the
 * primary decides what a signal means, and a terminal sends it to the workers too, where it would cut requests in flight.
 */
export function deferSignalListeners(): void {
  process.on('newListener', (name: string, listener: Listener) => {
    if (!Object.hasOwn(deferred, name)) return
    const signal = name as Ending
    // Node adds the listener after this event.
    process.nextTick(() => {
      if (!process.listeners(signal).includes(listener as NodeJS.SignalsListener)) return
      process.removeListener(signal, listener as NodeJS.SignalsListener)
      deferred[signal].push(listener)
    })
  })
}

/**
 * Runs the listeners that the app has for SIGTERM, or else those for SIGINT, and waits for them for a while. They may end this
 * process.
 */
export async function runSignalListeners(log: Logger): Promise<void> {
  const signal = deferred.SIGTERM.length > 0 ? 'SIGTERM' : 'SIGINT'
  const results = deferred[signal].splice(0).map((listener) => run(listener, signal, log))
  if (results.length === 0) return
  await Promise.race([Promise.all(results), sleep(MAX_WAIT_MS)])
  if (results.includes(undefined)) await sleep(CALLBACK_WAIT_MS)
}

/** @returns a promise that resolves when an asynchronous listener has ended; undefined for a synchronous one */
function run(listener: Listener, signal: Ending, log: Logger): Promise<void> | undefined {
  const failed = (err: unknown) => log.error({ err, signal }, 'signal listener failed')
  try {
    const result: unknown = listener(signal, constants.signals[signal])
    return result instanceof Promise ? result.then(() => {}, failed) : undefined
  } catch (error) {
    failed(error)
    return undefined
  }
}
