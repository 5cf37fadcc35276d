/** How deep JSON from outside may be nested: what is parsed without recursion is written with it, and needs a stack. */
export const MAX_DEPTH = 100

const [QUOTE, BACKSLASH] = [0x22, 0x5c]
/** `[` and `{`, `]` and `}` differ in this bit. */
const [OPEN, CLOSE, BRACE] = [0x5b, 0x5d, 0x20]

/** Whether a text, if it is JSON, is nested deeper than {@link MAX_DEPTH}. */
export function isTooDeep(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) quoted = !quoted
    else if (quoted) {
      if (code === BACKSLASH) i++
    } else if ((code & ~BRACE) === OPEN) {
      if (++depth > MAX_DEPTH) return true
    } else if ((code & ~BRACE) === CLOSE) depth--
  }
  return false
}
