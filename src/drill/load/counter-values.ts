/** Lines of a metrics page: the name, the labels, the value, and perhaps a time. */
const SAMPLE = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/
/** These series begin anew with each process. */
const OF_PROCESS = /^(process|nodejs)_/
/** The samples of a family of these types never decrease. */
const COUNTED = /^# TYPE (\S+) (counter|histogram)$/

/** Reads the values that must never decrease from a page in the format of Prometheus, by series. Pure. */
export function counterValues(page: string): Map<string, number> {
  const values = new Map<string, number>()
  let family: string | undefined
  for (const line of page.split('\n')) {
    if (line.startsWith('# TYPE ')) family = COUNTED.exec(line)?.[1]
    if (family === undefined || line.startsWith('#')) continue
    const [, name = '', labels = '', value] = SAMPLE.exec(line) ?? []
    if (name.startsWith(family) && !OF_PROCESS.test(name)) values.set(`${name}${labels}`, Number(value))
  }
  return values
}

/** @returns each series whose value is lower than before, or that is missing, with both values */
export function decreases(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  return [...before].flatMap(([series, value]) => {
    const now = after.get(series)
    if (now === undefined) return [`${series}: ${value}, then missing`]
    return now < value ? [`${series}: ${value}, then ${now}`] : []
  })
}
