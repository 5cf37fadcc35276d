import { groupBy, hasReturned, type Operation, type Violation } from './operations.ts'

/** Returns lines that tell what a history contains: operations by model and kind, and how many have an unknown outcome. */
export function describeOperations(operations: readonly Operation[]): string[] {
  const kinds = [...groupBy(operations, ({ model, kind }) => `${model} ${kind}`)].sort(([a], [b]) => a.localeCompare(b))
  const lines = kinds.map(([kind, some]) => {
    const unknown = some.filter((operation) => !hasReturned(operation)).length
    return `  ${kind.padEnd(20)} ${String(some.length).padStart(8)}  ${unknown} unknown`
  })
  const unknown = operations.filter((operation) => !hasReturned(operation)).length
  return [...lines, `  ${'all'.padEnd(20)} ${String(operations.length).padStart(8)}  ${unknown} unknown`]
}

/** Returns lines that show a violation: the rule, and each operation with its times, in ms from the first of them. */
export function describeViolation({ object, rule, operations }: Violation): string[] {
  const [first] = operations
  if (!first) return [`${object}: ${rule}`]
  return [
    `${object}: ${rule}`,
    ...operations.map(({ id, process, invokedAt, returnedAt, ...rest }) => {
      const from = (invokedAt - first.invokedAt).toFixed(1)
      const to = returnedAt === null ? 'unknown' : (returnedAt - first.invokedAt).toFixed(1)
      const { model: _model, ...fields } = rest
      return `  ${from} to ${to} ms, ${process}: ${JSON.stringify(fields)} (operation ${id})`
    })
  ]
}
