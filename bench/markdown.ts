/** A Markdown table: the first column and those named in `texts` to the left, the numbers to the right. */
export function table(
  head: readonly string[],
  lines: readonly (readonly string[])[],
  texts: readonly string[] = []
): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = head.map((name, column) => (column === 0 || texts.includes(name) ? '---' : '---:'))
  return [row(head), row(rule), ...lines.map(row)].join('\n')
}

/** A number with so many digits after the point, or a dash for what could not be measured. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–'
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
