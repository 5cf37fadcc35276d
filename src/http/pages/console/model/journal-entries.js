// The journal as people read it: what is a failure, what belongs together, and in which words. Pure.

const FAILURES = new Set([
  'cannot boot',
  'hangs',
  'killed',
  'not forked',
  'must end',
  'quarantined',
  'left in flight',
  'release missing',
  'reload failed',
  'reload refused',
  'reload lease lost',
  'upgrade failed'
])
const WARNINGS = new Set(['lingers', 'reload waits', 'reload without a lease', 'reload stopped', 'upgrade stopped'])
const SUCCESSES = new Set(['reload done', 'upgrade done', 'upgraded', 'quarantine lifted'])
const KINDS = [
  [/^command /, 'commands'],
  [/^(reload|trial|upgrade|release)/, 'rollouts'],
  [/^(start|stop|scales|quarantine)/, 'service']
]

/** @returns 'bad', 'warn', 'good' or 'plain' */
export function levelOf({ event, why = '', ok }) {
  if (ok === false || FAILURES.has(event)) return 'bad'
  if (event === 'exited') return /^(exit code 0|drained)/.test(why) ? 'plain' : 'bad'
  if (event === 'trial ends') return levelOfVerdict(why)
  if (event === 'drained') return /; cut: /.test(why) ? 'warn' : 'plain'
  if (WARNINGS.has(event)) return 'warn'
  return SUCCESSES.has(event) || ok ? 'good' : 'plain'
}

function levelOfVerdict(why) {
  if (why.startsWith('worse')) return 'bad'
  return /^(no worse|promoted)/.test(why) ? 'good' : 'plain'
}

/** @returns 'commands', 'rollouts', 'service' or 'workers' */
export const kindOf = ({ event }) => KINDS.find(([pattern]) => pattern.test(event))?.[1] ?? 'workers'

const argumentTexts = (args = {}) =>
  Object.entries(args).map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)

/** @returns what happened, in a few words: the bold part of a line */
export function titleOf({ event, command, args, slot }) {
  if (command) return [command, ...argumentTexts(args)].join(' ')
  return slot === undefined ? event : `Slot ${slot} ${event}`
}

/** @returns the details of an entry, without its reason */
export function detailsOf({ pid, generation, version, successor, who, from }) {
  const parts = [
    pid && `pid ${pid}`,
    generation && `generation ${generation}`,
    version && `version ${version}`,
    successor && `new primary ${successor}`,
    who && `by ${who}`,
    from && `from ${from}`
  ]
  return parts.filter(Boolean).join(' · ')
}

/** The command and its caller: an answer belongs to the oldest question with the same ones. */
const pairKey = ({ command, args, transport, who, from, requestId }) =>
  JSON.stringify([command, args, transport, who, from, requestId])

/**
 * Collects entries, in any order and with repetitions. A command that was received and its answer are one item.
 * An item: `{ at, entry, answer? }`, the newest first.
 */
export class JournalEntries {
  #limit
  #known = new Set()
  #entries = []
  #items

  constructor(limit) {
    this.#limit = limit
  }

  /** @returns 'newest', 'older' (an entry between those that are there), or 'known' */
  add(entry) {
    const key = JSON.stringify(entry)
    if (this.#known.has(key)) return 'known'
    this.#known.add(key)
    const after = this.#entries.findLastIndex(({ at }) => at <= entry.at)
    const isNewest = after === this.#entries.length - 1
    this.#entries.splice(after + 1, 0, entry)
    if (this.#entries.length > this.#limit) this.#known.delete(JSON.stringify(this.#entries.shift()))
    this.#items = undefined
    return isNewest ? 'newest' : 'older'
  }

  /** All entries, the oldest first. */
  get entries() {
    return this.#entries
  }

  get items() {
    this.#items ??= joinPairs(this.#entries)
    return this.#items
  }
}

/** @param entries the oldest first @returns items, the newest first */
export function joinPairs(entries) {
  const open = new Map()
  const items = []
  for (const entry of entries) {
    const key = entry.command && pairKey(entry)
    const question = entry.event === 'command answered' && open.get(key)?.shift()
    if (question) {
      question.answer = entry
      continue
    }
    const item = { at: entry.at, entry }
    items.push(item)
    if (entry.event !== 'command received') continue
    if (open.has(key)) open.get(key).push(item)
    else open.set(key, [item])
  }
  return items.reverse()
}

const textOf = ({ entry, answer }) => JSON.stringify([entry, answer]).toLowerCase()

/**
 * @param filter `kind`: one of `kindOf`, 'failures', or '' for all; `text`: words that must all occur; `since`: ms since 1970, or 0
 */
export function filterItems(items, { kind = '', text = '', since = 0 }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  return items.filter((item) => {
    const { entry, answer } = item
    if (Date.parse(entry.at) < since) return false
    if (kind === 'failures' && levelOf(answer ?? entry) !== 'bad') return false
    if (kind && kind !== 'failures' && kindOf(entry) !== kind) return false
    return words.length === 0 || words.every((word) => textOf(item).includes(word))
  })
}
