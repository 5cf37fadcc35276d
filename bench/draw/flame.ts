import type { Frame } from './cpu-profile.ts'
import { documentOf, element, escapeText } from './svg.ts'

const width = 960
const height = 16
/** Narrower frames are not drawn. */
const narrowest = 2
/** Deeper levels are not drawn. */
const deepest = 40
const characterWidth = 6.8

/** Light enough for black text, on light and dark pages. */
const colours: readonly (readonly [pattern: RegExp, colour: string])[] = [
  [/^muster$/, '#8ecae6'],
  [/^node: /, '#b7d7a8'],
  [/^(native|garbage)/, '#d0d0d0'],
  [/redis/, '#f4b6a6'],
  [/./, '#f6d68a']
]

/** A flame graph: callers above their callees, as wide as their time. */
export function flameGraph(root: Frame, title: string): string {
  const parts: string[] = []
  let levels = 0
  const draw = (frame: Frame, from: number, level: number) => {
    const wide = (frame.total / root.total) * width
    if (wide < narrowest || level > deepest) return
    levels = Math.max(levels, level + 1)
    parts.push(box(frame, from, wide, level, root.total))
    let at = from
    for (const child of [...frame.children.values()].sort((a, b) => b.total - a.total)) {
      draw(child, at, level + 1)
      at += (child.total / root.total) * width
    }
  }
  if (root.total > 0) draw({ ...root, name: title }, 0, 0)
  return documentOf(width, Math.max(1, levels) * height, title, parts)
}

function box(frame: Frame, x: number, wide: number, level: number, all: number): string {
  const { name, category, total } = frame
  const percent = ((total / all) * 100).toFixed(1)
  const fill = colours.find(([pattern]) => pattern.test(category))?.[1] ?? '#e6e6e6'
  const y = level * height
  const rect = element('rect', { x, y, width: wide - 0.5, height: height - 1, fill })
  const room = Math.floor((wide - 4) / characterWidth)
  const text = name.length <= room ? name : `${name.slice(0, room - 1)}…`
  const shown = room < 3 ? '' : element('text', { x: x + 3, y: y + 11, style: 'fill:#111' }, escapeText(text))
  const hint = `<title>${escapeText(`${name}: ${percent} %${category && `, ${category}`}`)}</title>`
  return element('g', {}, `${hint}${rect}${shown}`)
}
