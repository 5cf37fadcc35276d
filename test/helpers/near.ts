import { ok } from 'node:assert/strict'

/** Fails unless the number, or each of several, differs from the expected one by no more than rounding does. */
export function near(actual: number | readonly number[] | undefined, expected: number | readonly number[]): void {
  const [all, expectations] = [[actual].flat(), [expected].flat()]
  const isNear = (value: number | undefined, i: number) =>
    value !== undefined && Math.abs(value - expectations[i]!) <= 1e-9 * Math.max(1, Math.abs(expectations[i]!))
  ok(all.length === expectations.length && all.every(isNear), `${all} is not ${expectations}`)
}
