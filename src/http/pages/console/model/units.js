// Numbers as people read them. Pure.

const numberFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
export const formatNumber = (value) => (Number.isFinite(value) ? numberFormat.format(value) : '–')
export const formatCount = (value, noun) => `${formatNumber(value)} ${noun}${value === 1 ? '' : 's'}`
export const formatBytes = (bytes) => `${formatNumber(bytes / 2 ** 20)} MiB`
export const formatPercent = (share) => `${formatNumber(share * 100)} %`

const UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min']
]

export function formatDuration(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}

/** @returns for example "0.8 s", "2 min" or "2 min 5 s" */
export function formatMs(ms) {
  if (ms < 60_000) return `${formatNumber(ms / 1000)} s`
  const seconds = Math.round(ms / 1000)
  const rest = seconds % 60
  return `${Math.floor(seconds / 60)} min${rest > 0 ? ` ${rest} s` : ''}`
}

/** The first of 1, 2, 5, 10, 20, 50 … times `unit` that is not below `peak`, so that a scale rarely changes. */
export function scaleFor(peak, unit = 1) {
  const relative = Math.max(peak / unit, 1)
  const power = 10 ** Math.floor(Math.log10(relative))
  return unit * power * ([1, 2, 5].find((step) => step * power >= relative) ?? 10)
}
