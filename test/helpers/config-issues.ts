import assert from 'node:assert/strict'
import { StartupError } from '../../src/common/errors.ts'
import { loadConfig } from '../../src/config/load.ts'

/** The issues that a start with this environment reports, one per line. */
export function issuesOf(environment: Record<string, string>): string[] {
  try {
    loadConfig(environment)
  } catch (error) {
    assert.ok(error instanceof StartupError, `no StartupError, but ${error}`)
    const [title, ...issues] = error.message.split('\n')
    assert.equal(title, 'invalid configuration:')
    return issues.map((issue) => issue.replace('  - ', ''))
  }
  return []
}
