/** The keys and the brackets of a JSON text; a string that is no key is skipped as a whole. */
const TOKENS = /"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g

/** Parses JSON. @throws Error where it is no JSON, or where an object has the same key twice, of which JSON.parse keeps the last */
export function parseStrictly(text: string): unknown {
  const value: unknown = JSON.parse(text)
  const open: Set<string>[] = []
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string
      const keys = open.at(-1)!
      if (keys.has(key)) throw new Error(`the key ${JSON.stringify(key)} is there twice: ${text}`)
      keys.add(key)
    }
  }
  return value
}
