import { isOfPackage } from '../../common/text/printable.ts'
import type { Event } from '../policy/types.ts'

/** Prints why the code does not start, and again after requests, whose log lines would push it off the terminal. */
export class ErrorNotice {
  readonly #onBroken: (isBroken: boolean) => void
  readonly #starting = new Set<number>()
  #cause: string | undefined
  #requests = 0

  /** @param onBroken called with true when the code does not start, with false when it does */
  constructor(onBroken: (isBroken: boolean) => void) {
    this.#onBroken = onBroken
  }

  handle(event: Event): void {
    switch (event.type) {
      case 'forked':
        this.#starting.add(event.id)
        return
      case 'ready':
        this.#starting.delete(event.id)
        if (this.#cause !== undefined) print('the error is fixed')
        this.#set(undefined)
        return
      case 'boot-failed':
        if (this.#starting.delete(event.id)) this.#fail(event.cause)
        return
      case 'kill-sent':
        if (event.reason === 'unwanted') this.#starting.delete(event.id)
        return
      case 'exit':
        if (this.#starting.delete(event.id)) this.#fail(`the app ended while it started: ${event.cause}`)
        return
      case 'heartbeat':
        this.#remind(event.requests)
        return
      default:
    }
  }

  #remind(requests: number): void {
    if (this.#cause !== undefined && requests > this.#requests) {
      print(`not fixed yet, the code from before serves: ${headlineOf(this.#cause)}`)
    }
    this.#requests = requests
  }

  #fail(cause: string): void {
    this.#set(cause)
    const shown = cause.split('\n').filter((line) => !isOfPackage(line))
    print(`${shown.join('\n')}\n\nmuster: waiting until a file changes`)
  }

  #set(cause: string | undefined): void {
    this.#cause = cause
    this.#onBroken(cause !== undefined)
  }
}

/** Returns the first line of an error, with the line that names the place where that is another one. */
function headlineOf(cause: string): string {
  const [first = '', ...rest] = cause.split('\n')
  const place = /:\d+:\d+/.test(first) ? undefined : rest.find((line) => /:\d+:\d+/.test(line))
  return place === undefined ? first : `${first} ${place.trim()}`
}

const print = (text: string) => process.stderr.write(`muster: ${text}\n`)
