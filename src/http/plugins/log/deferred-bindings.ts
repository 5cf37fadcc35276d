import { type Bindings, type ChildLoggerOptions, type Logger, symbols } from 'pino'

const chindingsSym: typeof symbols.chindingsSym = symbols.chindingsSym
/** A symbol, because the children of pino's loggers inherit their properties. */
const BINDINGS = Symbol('bindings')

/**
 * Makes the children of `log` that Fastify creates for requests serialize their bindings when they first log a line: most
 * requests log none. Fastify passes empty options for them. All other children are as pino makes them, because the bindings
 * of an app may change after the call.
 *
 * pino keeps the serialized bindings of a logger below the symbol `chindingsSym`; a child inherits everything else from its
 * parent. pino documents its `symbols` for integrations like this one.
 */
export function deferBindings(log: Logger): void {
  const createChild: Logger['child'] = log.child
  const serialize = (bindings: Bindings) =>
    (createChild.call(log, bindings) as unknown as { [chindingsSym]: string })[chindingsSym]

  class DeferredChild {
    readonly [BINDINGS]: Bindings

    constructor(bindings: Bindings) {
      this[BINDINGS] = bindings
    }

    get [chindingsSym](): string {
      this[chindingsSym] = serialize(this[BINDINGS])
      return this[chindingsSym]
    }

    set [chindingsSym](value: string) {
      // On the instance itself: an assignment would call this setter again.
      Object.defineProperty(this, chindingsSym, { value, writable: true })
    }
  }
  Object.setPrototypeOf(DeferredChild.prototype, log)

  log.child = function child(this: Logger, bindings: Bindings, options?: ChildLoggerOptions) {
    const isOfRequest = this === log && bindings && options && Object.keys(options).length === 0
    return isOfRequest ? new DeferredChild(bindings) : createChild.apply(this, [bindings, options])
  } as Logger['child']
}
