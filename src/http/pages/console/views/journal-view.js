// The journal: what happened and which commands were given, with a filter. Days have headings, failures a colour and a word.

import { detailsOf, filterItems, JournalEntries, levelOf, titleOf } from '../model/journal-entries.js'
import { formatCount, formatMs } from '../model/units.js'
import { $, element, formatDay, reasonNodes, setChildren, setText, timeElement } from '../page.js'
import { command } from '../stream.js'

const MAX_ENTRIES = 2000
const PAGE = 40 // items that are shown at first, and with each "Show more"
const HISTORY = 300 // entries that are asked for after signing in
const WORDS = { bad: 'failed', warn: 'note', good: 'ok', plain: '' }

export const journal = new JournalEntries(MAX_ENTRIES)

let shown = PAGE
/** The line of each item. Lines are kept, so that opened details stay open. */
const lines = new WeakMap()

function outcomeOf({ entry, answer }) {
  if (entry.event !== 'command received') return ''
  if (!answer) return 'not answered yet'
  return `${answer.ok ? 'answered' : 'failed'} after ${formatMs(answer.ms ?? 0)}`
}

function createLine(item) {
  const { entry, answer } = item
  const level = levelOf(answer ?? entry)
  const [reason, stack] = reasonNodes((answer ?? entry).why ?? '')
  const details = [outcomeOf(item), detailsOf(entry), reason].filter(Boolean)
  const body = element('div', {}, element('b', { textContent: titleOf(entry) }))
  if (WORDS[level]) body.prepend(element('span', { className: 'mark', textContent: WORDS[level] }), ' ')
  body.append(...details.map((text) => element('span', { className: 'soft', textContent: text })))
  if (stack) body.append(stack)
  const line = element('li', {}, timeElement(new Date(entry.at)), body)
  line.dataset.level = level
  return line
}

/** A line is made again when the answer to its command has come. */
function lineOf(item) {
  const key = item.answer ?? item.entry
  if (!lines.has(key)) lines.set(key, createLine(item))
  return lines.get(key)
}

const headings = new Map()

function headingOf(day) {
  if (!headings.has(day)) headings.set(day, element('li', { className: 'day' }, element('h3', { textContent: day })))
  return headings.get(day)
}

function filter() {
  const hours = Number($('journal-since').value)
  return {
    kind: $('journal-kind').value,
    text: $('journal-text').value,
    since: hours > 0 ? Date.now() - hours * 3_600_000 : 0
  }
}

export function showJournal() {
  const items = filterItems(journal.items, filter())
  const nodes = []
  let day
  for (const item of items.slice(0, shown)) {
    const own = formatDay(new Date(item.at))
    if (own !== day) nodes.push(headingOf(own))
    day = own
    nodes.push(lineOf(item))
  }
  setChildren($('journal'), nodes)
  $('journal-more').hidden = items.length <= shown
  setText(
    $('journal-count'),
    items.length === 0 ? 'No entry matches.' : formatCount(items.length, 'entry').replace('entrys', 'entries')
  )
}

/** Asks for what happened before the console was opened. @returns the entries */
export async function loadHistory(since) {
  const args = { limit: HISTORY, ...(since && { since }) }
  const answers = await Promise.all(
    ['journal', 'audit'].map((name) => command(name, args).catch(() => ({ result: [] })))
  )
  return answers.flatMap(({ result }) => result)
}

/** @param onOlder called with the entries of a time that the operator asks for */
export function connectJournal(onOlder) {
  for (const id of ['journal-kind', 'journal-text', 'journal-since']) {
    $(id).addEventListener('input', () => {
      shown = PAGE
      showJournal()
    })
  }
  $('journal-filter').addEventListener('submit', (event) => event.preventDefault())
  $('journal-since').addEventListener('change', async ({ target }) => {
    if (target.value) onOlder(await loadHistory(`${target.value}h`))
  })
  $('journal-more').addEventListener('click', () => {
    shown += PAGE
    showJournal()
  })
}
