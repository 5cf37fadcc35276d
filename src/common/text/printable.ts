/** Control characters, and characters that change the direction of text: a terminal would obey them. */
const UNPRINTABLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Escapes unprintable characters as JSON does: the text may come from any client. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped)

function escaped(character: string): string {
  const short = JSON.stringify(character).slice(1, -1)
  return short === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : short
}

/** Whether a line of a stack is of a package, not of the app. */
export const isOfPackage = (line: string): boolean => /^ +at .*\/node_modules\//.test(line)
