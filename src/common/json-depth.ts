/** The deepest nesting of JSON from clients. JSON.parse needs no stack for it, but writing it again does. */
export const MAX_DEPTH = 100

const [QUOTE, BACKSLASH] = [0x22, 0x5c]
/** `[` and `{`, as `]` and `}`, differ in this bit only. */
const [OPEN, CLOSE, BRACE_BIT] = [0x5b, 0x5d, 0x20]

/** True when a text, if it is JSON, is nested deeper than {@link MAX_DEPTH}. */
export function isTooDeep(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false
  let depth = 0
  let isQuoted = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) isQuoted = !isQuoted
    else if (isQuoted) {
      if (code === BACKSLASH) i++
    } else if ((code & ~BRACE_BIT) === OPEN) {
      if (++depth > MAX_DEPTH) return true
    } else if ((code & ~BRACE_BIT) === CLOSE) depth--
  }
  return false
}

/**
 * True when a parsed value is nested deeper than {@link MAX_DEPTH}. Only lists and plain objects count as nesting.
 * @param levels how many levels the value may have
 */
export function isValueTooDeep(value: unknown, levels = MAX_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return levels === 0 || value.some((item) => isValueTooDeep(item, levels - 1))
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  if (levels === 0) return true
  for (const key in value) if (isValueTooDeep((value as Record<string, unknown>)[key], levels - 1)) return true
  return false
}
