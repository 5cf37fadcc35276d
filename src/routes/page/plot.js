// The plot of hits per second. One unit across is one second. `at` is wall-clock time, so that the samples survive a reload
// of the page.

const SPANS = [60, 120, 180] // seconds that the plot may show: multiples of the time between two labels
const MAX_SECONDS = SPANS.at(-1) // also the maximum number of samples
const LABELS = 4 // parts of the time axis
const GAP_MS = 4000 // the line is interrupted where no sample came for this long
const LEAST_TOP = 10 // the top of the scale of an idle service
const STORAGE_KEY = 'muster.samples'
const SVG = 'http://www.w3.org/2000/svg'

export const wholeNumbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 })
const sharp = { 'vector-effect': 'non-scaling-stroke' }

function createShape(name, attributes) {
  const shape = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value)
  return shape
}

function createAxis(className, count) {
  const axis = document.createElement('p')
  axis.className = className
  axis.ariaHidden = 'true'
  axis.append(...Array.from({ length: count }, () => document.createElement('span')))
  return axis
}

function restoreSamples() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '[]')
    return saved.filter(({ at, rate }) => Number.isFinite(at) && Number.isFinite(rate)).slice(-MAX_SECONDS)
  } catch {
    return [] // storage may be forbidden
  }
}

/** The first of 10, 20, 50, 100 … that is not below the peak, so that the scale rarely changes. */
function scaleFor(peak) {
  const power = 10 ** Math.floor(Math.log10(Math.max(peak, LEAST_TOP)))
  return power * ([1, 2, 5].find((step) => step * power >= peak) ?? 10)
}

function pathsOf(samples, now, span, top) {
  const paths = { line: '', area: '', reloads: '', before: 0 }
  samples.forEach(({ at, rate, reloading }, index) => {
    const x = (span - (now - at) / 1000).toFixed(2)
    const y = (100 - (100 * rate) / top).toFixed(2)
    const isFirst = index === 0 || at - samples[index - 1].at > GAP_MS
    const isLast = index === samples.length - 1 || samples[index + 1].at - at > GAP_MS
    paths.line += `${isFirst ? 'M' : 'L'}${x} ${y}`
    paths.area += `${isFirst ? `M${x} 100` : ''}L${x} ${y}${isLast ? 'V100Z' : ''}`
    if (reloading) paths.reloads += `M${isFirst ? x - 1 : paths.before} 0H${x}V100H${isFirst ? x - 1 : paths.before}Z`
    paths.before = x
  })
  return paths
}

function setTexts(axis, texts) {
  for (const [i, text] of texts.entries()) axis.children[i].textContent = text
}

export class Plot {
  #samples = restoreSamples()
  #svg = createShape('svg', { preserveAspectRatio: 'none', role: 'img' })
  #grid = createShape('path', { class: 'grid', ...sharp })
  #reloads = createShape('path', { class: 'reloads' })
  #area = createShape('path', { class: 'area' })
  #line = createShape('path', { class: 'line', ...sharp })
  #rates = createAxis('rates', 3)
  #times = createAxis('times', LABELS + 1)

  /** @param shaded is shown while the plot contains a reload */
  constructor({ container, shaded }) {
    this.shaded = shaded
    this.#svg.append(this.#grid, this.#reloads, this.#area, this.#line)
    container.append(this.#rates, this.#svg, this.#times)
  }

  add(sample) {
    this.#samples.push(sample)
  }

  /** @returns whether there was a hit in the time that the plot shows */
  draw(now) {
    const isRecent = ({ at }) => at <= now && now - at <= MAX_SECONDS * 1000
    this.#samples = this.#samples.filter(isRecent).slice(-MAX_SECONDS)
    const ageSeconds = (now - (this.#samples[0]?.at ?? now)) / 1000
    const span = SPANS.find((seconds) => seconds >= ageSeconds) ?? MAX_SECONDS
    const peak = Math.max(0, ...this.#samples.map(({ rate }) => rate))
    const top = scaleFor(peak)
    this.#show(pathsOf(this.#samples, now, span, top), span, top)
    const last = this.#samples.at(-1)?.rate ?? 0
    const numbers = `${wholeNumbers.format(last)} now, ${wholeNumbers.format(peak)} at most`
    this.#svg.setAttribute('aria-label', `Plot of hits per second over ${span} seconds: ${numbers}`)
    return peak > 0
  }

  #show(paths, span, top) {
    const step = span / LABELS
    const columns = Array.from({ length: LABELS + 1 }, (_, i) => `M${i * step} 0V100`).join('')
    this.#svg.setAttribute('viewBox', `0 0 ${span} 100`)
    this.#grid.setAttribute('d', `M0 0H${span}M0 50H${span}${columns}`)
    this.#line.setAttribute('d', paths.line)
    this.#area.setAttribute('d', paths.area)
    this.#reloads.setAttribute('d', paths.reloads)
    this.shaded.hidden = paths.reloads === ''
    setTexts(this.#rates, [`${wholeNumbers.format(top)}/s`, `${wholeNumbers.format(top / 2)}/s`, '0'])
    const ago = Array.from({ length: LABELS }, (_, i) => `−${span - i * step} s`)
    setTexts(this.#times, [...ago, 'now'])
  }

  /** Keeps the samples for the next page of this tab. */
  save() {
    try {
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify(this.#samples))
    } catch {} // storage may be forbidden
  }
}
