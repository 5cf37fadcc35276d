/** Text as it may stand in an element or an attribute of SVG. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

type Attributes = Readonly<Record<string, string | number>>

/** An element; numbers get two digits after the point at most. `content` is SVG already. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const all = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(shown(value))}"`)
  return content === '' ? `<${name}${all.join('')}/>` : `<${name}${all.join('')}>${content}</${name}>`
}

/** A text element; what it says is escaped. */
export const label = (x: number, y: number, text: string, attributes: Attributes = {}): string =>
  element('text', { x, y, ...attributes }, escapeText(text))

/** A whole file: greys that can be read on a light and on a dark page, no background. */
export function documentOf(width: number, height: number, title: string, parts: readonly string[]): string {
  const style = 'text{font:11px system-ui,sans-serif;fill:#808890}.axis{stroke:#808890;stroke-width:.5;fill:none}'
  const size = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' }
  const head = [`<title>${escapeText(title)}</title>`, `<style>${style}</style>`]
  return `${element('svg', size, `\n${[...head, ...parts].join('\n')}\n`)}\n`
}

const shown = (value: string | number): string =>
  typeof value === 'number' ? String(Math.round(value * 100) / 100) : value
