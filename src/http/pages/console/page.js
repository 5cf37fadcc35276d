// Helpers of the console. Everything from the service is inserted as text, never as markup.

const MAX_LINES = { journal: 100, results: 10 } // by the id of the list

export const $ = (id) => document.getElementById(id)

export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties)
  created.append(...children)
  return created
}

/** Sets the text if it has changed, so that screen readers do not announce it again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

const numberFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
export const formatNumber = (value) => (Number.isFinite(value) ? numberFormat.format(value) : '–')
export const formatCount = (value, noun) => `${formatNumber(value)} ${noun}${value === 1 ? '' : 's'}`
export const formatBytes = (bytes) => `${formatNumber(bytes / 2 ** 20)} MiB`

export function formatDuration(seconds) {
  const units = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min']
  ]
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}

const timeElement = (at) =>
  element('time', { dateTime: at.toISOString(), textContent: at.toLocaleTimeString(undefined, { hour12: false }) })

/**
 * Adds a line at the top of a list and removes the oldest if there are too many.
 * @returns the line; its last child is the text
 */
export function addLine(list, at, text) {
  const line = element('li', {}, timeElement(at), text)
  list.prepend(line)
  while (list.children.length > MAX_LINES[list.id]) list.lastElementChild.remove()
  return line
}
