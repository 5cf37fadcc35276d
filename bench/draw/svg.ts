import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Escapes text for an element or an attribute of SVG. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

type Attributes = Readonly<Record<string, string | number>>

/** An element; numbers get at most two digits after the point. `content` is SVG. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const all = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(shown(value))}"`)
  return content === '' ? `<${name}${all.join('')}/>` : `<${name}${all.join('')}>${content}</${name}>`
}

/** A text element; its text is escaped. */
export const label = (x: number, y: number, text: string, attributes: Attributes = {}): string =>
  element('text', { x, y, ...attributes }, escapeText(text))

/** A complete file: greys that are readable on light and dark pages, no background. */
export function documentOf(width: number, height: number, title: string, parts: readonly string[]): string {
  const style = 'text{font:11px system-ui,sans-serif;fill:#808890}.axis{stroke:#808890;stroke-width:.5;fill:none}'
  const size = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' }
  const head = [`<title>${escapeText(title)}</title>`, `<style>${style}</style>`]
  return `${element('svg', size, `\n${[...head, ...parts].join('\n')}\n`)}\n`
}

const shown = (value: string | number): string =>
  typeof value === 'number' ? String(Math.round(value * 100) / 100) : value

/** Writes a picture of the documentation. @param name of the file in docs/images/ */
export function writeImage(name: string, svg: string): void {
  writeFileSync(fileURLToPath(new URL(`../../../docs/images/${name}`, import.meta.url)), svg)
  console.error(`docs/images/${name}: ${Math.ceil(svg.length / 1024)} KiB`)
}
