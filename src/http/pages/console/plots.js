// Plots over time, with scales: a label at the top line and at the bottom line, and the time below.

import { scaleFor } from './model/units.js'
import { element, setText, shape } from './page.js'

const SPANS = [30, 60, 120] // seconds that a plot may show
const HEIGHT = 100

/** The number of seconds that samples are kept for. */
export const MAX_SECONDS = SPANS.at(-1)

/** @returns the seconds that a plot shows whose oldest sample has this age */
export const spanFor = (ageSeconds) => SPANS.find((span) => span >= ageSeconds) ?? MAX_SECONDS

export const describeSpan = (span) => (span < 60 ? `−${span} s` : `−${span / 60} min`)

function pathOf(points, { now, span, top }, isStep) {
  let path = ''
  let lastY
  for (const { at, value } of points) {
    const x = (span - (now - at) / 1000).toFixed(1)
    const y = (HEIGHT - (HEIGHT * Math.min(value, top)) / top).toFixed(1)
    if (isStep && path) path += `L${x} ${lastY}`
    path += `${path ? 'L' : 'M'}${x} ${y}`
    lastY = y
  }
  return path
}

const areaOf = (line, points, { now, span }) => {
  if (points.length < 2) return ''
  const x = (at) => (span - (now - at) / 1000).toFixed(1)
  return `${line}L${x(points.at(-1).at)} ${HEIGHT}L${x(points[0].at)} ${HEIGHT}Z`
}

/** A plot with one line for each name in `lines`. */
export class TimePlot {
  #svg = shape('svg', { preserveAspectRatio: 'none', role: 'img' })
  #area = shape('path', { class: 'area' })
  #top = element('span', { className: 'top' })
  #since = element('span')
  #paths
  root

  /** @param label what is plotted, for people who do not see the plot */
  constructor(label, lines = ['line']) {
    this.label = label
    this.#paths = lines.map((name) => shape('path', { class: name }))
    this.#svg.append(shape('path', { class: 'grid' }), this.#area, ...this.#paths)
    const axis = element(
      'p',
      { className: 'axis', ariaHidden: 'true' },
      this.#since,
      element('span', { textContent: 'now' })
    )
    const scale = element(
      'p',
      { className: 'scale', ariaHidden: 'true' },
      this.#top,
      element('span', { textContent: '0' })
    )
    this.root = element('div', { className: 'plot' }, scale, this.#svg, axis)
  }

  /**
   * @param series one list of `{ at, value }` for each line, the oldest first; `at` as of `performance.now()`
   * @param axes `now`, `span` in seconds, `top`: the value at the top line, and `format` for it
   */
  draw(series, axes) {
    const { span, top, format } = axes
    this.#svg.setAttribute('viewBox', `0 0 ${span} ${HEIGHT}`)
    this.#svg.firstChild.setAttribute('d', `M0 0H${span}M0 ${HEIGHT / 2}H${span}M0 ${HEIGHT}H${span}`)
    for (const [i, points] of series.entries()) {
      const isShort = points.length < 2
      this.#paths[i].setAttribute('d', isShort ? '' : pathOf(points, axes, i > 0))
    }
    const [points] = series
    this.#area.setAttribute('d', areaOf(this.#paths[0].getAttribute('d'), points, axes))
    setText(this.#top, format(top))
    setText(this.#since, describeSpan(span))
    const last = points.at(-1)?.value
    this.#svg.setAttribute(
      'aria-label',
      `${this.label}: ${last === undefined ? 'nothing yet' : `${format(last)} now`}, scale up to ${format(top)}`
    )
  }
}

/** @returns the value at the top line of plots that are compared with each other */
export const topOf = (values, unit) => scaleFor(Math.max(0, ...values), unit)
