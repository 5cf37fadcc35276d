// The plot of hits per second. One unit across is one second. `at` is wall-clock time, so that the samples survive a reload
// of the page.

const SPANS = [30, 60, 120, 180] // seconds that the plot may show
const MAX_SECONDS = SPANS.at(-1) // also the maximum number of samples
const GAP_MS = 4000 // the line is interrupted where no sample came for this long
const STORAGE_KEY = 'muster.samples'
const SVG = 'http://www.w3.org/2000/svg'

export const wholeNumbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 })
const sharp = { 'vector-effect': 'non-scaling-stroke' }

function createShape(name, attributes) {
  const shape = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value)
  return shape
}

function restoreSamples() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '[]')
    return saved.filter(({ at, rate }) => Number.isFinite(at) && Number.isFinite(rate)).slice(-MAX_SECONDS)
  } catch {
    return [] // storage may be forbidden
  }
}

/** The first of 1, 2, 5, 10, 20, 50 … that is not below the peak, so that the scale rarely changes. */
function scaleFor(peak) {
  const power = 10 ** Math.floor(Math.log10(Math.max(peak, 1)))
  return power * ([1, 2, 5].find((step) => step * power >= peak) ?? 10)
}

function pathsOf(samples, now, span, top) {
  const paths = { line: '', area: '', reloads: '' }
  samples.forEach(({ at, rate, reloading }, index) => {
    const x = (span - (now - at) / 1000).toFixed(2)
    const y = (100 - (98 * rate) / top).toFixed(2)
    const isFirst = index === 0 || at - samples[index - 1].at > GAP_MS
    const isLast = index === samples.length - 1 || samples[index + 1].at - at > GAP_MS
    paths.line += `${isFirst ? 'M' : 'L'}${x} ${y}`
    paths.area += `${isFirst ? `M${x} 100` : ''}L${x} ${y}${isLast ? 'V100Z' : ''}`
    if (reloading) paths.reloads += `M${x} 0V100`
  })
  return paths
}

export class Plot {
  #samples = restoreSamples()
  #svg = createShape('svg', { preserveAspectRatio: 'none', role: 'img' })
  #reloads = createShape('path', { class: 'reloads' })
  #area = createShape('path', { class: 'area' })
  #line = createShape('path', { class: 'line', ...sharp })

  constructor({ container, since, scale }) {
    this.since = since
    this.scale = scale
    this.#svg.setAttribute('aria-label', 'Plot of hits per second over the last minutes')
    const grid = createShape('path', { class: 'grid', d: `M0 2H${MAX_SECONDS}M0 51H${MAX_SECONDS}`, ...sharp })
    this.#svg.append(grid, this.#reloads, this.#area, this.#line)
    container.append(this.#svg)
  }

  add(sample) {
    this.#samples.push(sample)
  }

  draw(now) {
    const isRecent = ({ at }) => at <= now && now - at <= MAX_SECONDS * 1000
    this.#samples = this.#samples.filter(isRecent).slice(-MAX_SECONDS)
    const ageSeconds = (now - (this.#samples[0]?.at ?? now)) / 1000
    const span = SPANS.find((seconds) => seconds >= ageSeconds) ?? MAX_SECONDS
    const top = scaleFor(Math.max(0, ...this.#samples.map(({ rate }) => rate)))
    const paths = pathsOf(this.#samples, now, span, top)
    this.#svg.setAttribute('viewBox', `0 0 ${span} 100`)
    this.#line.setAttribute('d', paths.line)
    this.#area.setAttribute('d', paths.area)
    this.#reloads.setAttribute('d', paths.reloads)
    this.since.textContent = span < 60 ? `${span} s ago` : `${span / 60} min ago`
    this.scale.textContent = `top line ${wholeNumbers.format(top)}/s${paths.reloads ? ', shaded: reload' : ''}`
  }

  /** Keeps the samples for the next page of this tab. */
  save() {
    try {
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify(this.#samples))
    } catch {} // storage may be forbidden
  }
}
