// What all of the console is made of. Everything that comes in is text: none of it becomes markup.

const LINES = { journal: 100, results: 10 } // that a list keeps

export const $ = (id) => document.getElementById(id)

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** What did not change is not announced again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
export const count = (value) => (Number.isFinite(value) ? number.format(value) : '–')
export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`
export const mebibytes = (bytes) => `${count(bytes / 2 ** 20)} MiB`

export function duration(seconds) {
  const units = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min']
  ]
  const [size, unit] = units.find(([least]) => seconds >= least) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}

const timeOf = (at) =>
  element('time', { dateTime: at.toISOString(), textContent: at.toLocaleTimeString(undefined, { hour12: false }) })

/** The newest on top. @returns the line; its last child is the text */
export function addLine(list, at, text) {
  const line = element('li', {}, timeOf(at), text)
  list.prepend(line)
  while (list.children.length > LINES[list.id]) list.lastElementChild.remove()
  return line
}
