import { documentOf, element, label } from './svg.ts'

/** One small plot: a value of each series at every step of the axis; NaN for a gap. */
export interface Panel {
  readonly title: string
  readonly series: Readonly<Record<string, readonly number[]>>
}

/** Colours that are readable on light and dark pages. */
const colours = ['#3b82f6', '#e08a1e', '#8a63d2', '#2a9d6f']
const columns = 2
const cell = { width: 330, height: 190 }
const inner = { left: 52, right: 16, top: 34, bottom: 30 }

/** Panels side by side over one axis, its steps at equal distances; every y axis begins at 0. */
export function plot(title: string, axis: string, steps: readonly string[], panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / columns)
  const parts = panels.map((panel, nth) => {
    const at = `translate(${(nth % columns) * cell.width} ${Math.floor(nth / columns) * cell.height})`
    return element('g', { transform: at }, draw(panel, axis, steps))
  })
  return documentOf(columns * cell.width, rows * cell.height, title, parts)
}

function draw({ title, series }: Panel, axis: string, steps: readonly string[]): string {
  const bottom = cell.height - inner.bottom
  const right = cell.width - inner.right
  const top = ceiling(Math.max(...Object.values(series).flat().filter(Number.isFinite), 0))
  const x = (step: number) => inner.left + ((step + 0.5) * (right - inner.left)) / steps.length
  const y = (value: number) => bottom - (value / top) * (bottom - inner.top)
  const parts = [label(inner.left, 14, title, { 'font-weight': 600 })]
  for (const value of [0, top / 2, top]) {
    parts.push(element('path', { class: 'axis', d: `M${inner.left} ${round(y(value))}H${right}` }))
    parts.push(label(inner.left - 4, y(value) + 4, short(value), { 'text-anchor': 'end' }))
  }
  parts.push(...steps.map((step, nth) => label(x(nth), bottom + 13, step, { 'text-anchor': 'middle' })))
  parts.push(label((inner.left + right) / 2, bottom + 26, axis, { 'text-anchor': 'middle' }))
  Object.entries(series).forEach(([name, values], nth) => {
    const colour = colours[nth % colours.length]!
    const points = values.flatMap((value, step) => (Number.isFinite(value) ? [[x(step), y(value)] as const] : []))
    const line = points.map(([px, py]) => `${round(px)},${round(py)}`).join(' ')
    parts.push(element('polyline', { points: line, fill: 'none', stroke: colour, 'stroke-width': 1.5 }))
    for (const [cx, cy] of points) parts.push(element('circle', { cx, cy, r: 2.5, fill: colour }))
    parts.push(label(right - 70 * nth, 26, name, { 'text-anchor': 'end', style: `fill:${colour}` }))
  })
  return parts.join('')
}

/** The next number of 1, 2, 3, 5 and 8 times a power of ten. */
export function ceiling(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 3, 5, 8].find((digit) => digit * power >= value) ?? 10) * power
}

const round = (value: number): number => Math.round(value * 10) / 10

/** A number as it fits beside an axis: 1500 is 1.5k. */
export const short = (value: number): string =>
  value >= 1e6
    ? `${round(value / 1e6)}M`
    : value >= 1000
      ? `${round(value / 1000)}k`
      : String(Number(value.toPrecision(2)))
