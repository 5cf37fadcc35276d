import assert from 'node:assert/strict'

/**
 * A page in the Prometheus text format, as a map from series to value. Labels are sorted by name, and a series that
 * comes twice is refused: neither promtool nor Prometheus would notice.
 */
export function parseMetrics(page: string): Map<string, number> {
  const series = new Map<string, number>()
  for (const line of page.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.ok(found, `no sample: ${line}`)
    const [, name, labels = '', value] = found
    const sorted = (labels.match(/\w+="(?:[^"\\]|\\.)*"/g) ?? []).sort().join(',')
    const key = `${name}{${sorted}}`
    assert.ok(!series.has(key), `twice on one page: ${key}`)
    series.set(key, Number(value))
  }
  return series
}
