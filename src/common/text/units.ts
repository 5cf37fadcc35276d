const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB']

/** Shows a number with separators between thousands: `1,234,567`. */
export const formatCount = (value: number): string => value.toLocaleString('en-US')

/** Shows a number of bytes: `90.8 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 'B'
  for (const larger of BYTE_UNITS) {
    // 1023.5 KiB would be shown as "1024 KiB".
    if (value < (unit === 'B' ? 1024 : 1023.5)) break
    value /= 1024
    unit = larger
  }
  const digits = value >= 99.95 ? 0 : 1
  return `${unit === 'B' ? formatCount(value) : value.toFixed(digits)} ${unit}`
}

/** Shows a duration with one or two units: `46.7 ms`, `1.8 s`, `3 m 20 s`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 9.95) return `${Math.round(ms * 10) / 10} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9950) return `${Math.round(ms / 100) / 10} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return pair(seconds, 60, 'm', 1, 's')
  if (seconds < 86_400) return pair(seconds, 3600, 'h', 60, 'm')
  return pair(seconds, 86_400, 'd', 3600, 'h')
}

/** Shows a duration that is known in whole seconds. */
export const formatSeconds = (seconds: number): string => (seconds === 0 ? '0 s' : formatDuration(seconds * 1000))

/** Shows seconds in a larger and a smaller unit, without a zero of the smaller one; many days without hours. */
function pair(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small)
  const whole = `${formatCount(Math.floor(seconds / large))} ${largeName}`
  return rest === 0 || seconds >= 100 * 86_400 ? whole : `${whole} ${rest} ${smallName}`
}

/** Shows a moment in local time: `14:03:21`, with the date in front when it is not that of `now`. */
export function formatTime(moment: Date, now = new Date()): string {
  const time = moment.toTimeString().slice(0, 8)
  if (moment.toDateString() === now.toDateString()) return time
  const two = (value: number) => String(value).padStart(2, '0')
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${time}`
}
