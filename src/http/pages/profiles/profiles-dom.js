// Helpers of the page of profiles. Everything from the service is inserted as text, never as markup.

export const $ = (id) => document.getElementById(id)

export function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties)
  created.append(...children)
  return created
}

const numberFormat = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
export const formatNumber = (value) => numberFormat.format(value)
export const formatShare = (share) => `${(share * 100).toFixed(1)} %`
export const formatSigned = (value, format) =>
  value === 0 ? format(0) : `${value > 0 ? '+' : '−'}${format(Math.abs(value))}`

export function formatBytes(bytes) {
  const units = [
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB']
  ]
  const [size, unit] = units.find(([size]) => bytes >= size) ?? [1, 'B']
  return `${formatNumber(bytes / size)} ${unit}`
}

/**
 * Fills a table.
 * @param columns a title, a function that returns the text of a cell, whether it is a number, and one that returns a class
 */
export function fillTable(table, columns, rows) {
  const titles = columns.map(([title, , isNumber]) =>
    element('th', { scope: 'col', textContent: title, className: isNumber ? 'number' : '' })
  )
  table.tHead.replaceChildren(element('tr', {}, ...titles))
  table.tBodies[0].replaceChildren(
    ...rows.map((row) =>
      element(
        'tr',
        {},
        ...columns.map(([, show, isNumber, classOf]) =>
          element('td', { textContent: show(row), className: `${isNumber ? 'number ' : ''}${classOf?.(row) ?? ''}` })
        )
      )
    )
  )
}
