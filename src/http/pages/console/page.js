// Helpers of the console. Everything from the service is inserted as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg'

export const $ = (id) => document.getElementById(id)

export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties)
  created.append(...children)
  return created
}

/** @returns an SVG element with these attributes */
export function shape(name, attributes = {}) {
  const created = document.createElementNS(SVG, name)
  for (const [attribute, value] of Object.entries(attributes)) created.setAttribute(attribute, value)
  return created
}

/** Sets the text if it has changed, so that screen readers do not announce it again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** Makes `nodes` the children of `parent`. Nodes that are in place are not touched, so they keep the focus. */
export function setChildren(parent, nodes) {
  for (const [index, node] of nodes.entries()) {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null)
  }
  while (parent.children.length > nodes.length) parent.lastElementChild.remove()
}

const timeFormat = { hour12: false, hour: '2-digit', minute: '2-digit', second: '2-digit' }
export const formatTime = (at) => at.toLocaleTimeString(undefined, timeFormat)
export const formatDay = (at) =>
  at.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

export const timeElement = (at) => element('time', { dateTime: at.toISOString(), textContent: formatTime(at) })

/**
 * Shows a reason. The lines after its first one, such as a stack trace, are folded and keep their newlines.
 * @returns nodes to append
 */
export function reasonNodes(text) {
  const [first, ...rest] = text.split('\n')
  if (rest.length === 0) return [first]
  const details = element(
    'details',
    { className: 'stack' },
    element('summary', { textContent: `${rest.length} more ${rest.length === 1 ? 'line' : 'lines'}` }),
    element('pre', { textContent: rest.join('\n') })
  )
  return [first, details]
}
