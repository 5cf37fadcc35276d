/**
 * `node:test` for tests that assert a time. scripts/test.mjs runs the files that import this module apart: few at a time, and
 * without coverage, which slows down the code under test.
 */
export { describe as timedDescribe, test as timed } from 'node:test'
