import type { Observations, Step } from '../observations.ts'

/** `skipped`: the drill did not try it. */
export type Verdict = 'held' | 'broken' | 'skipped'

/** One thing that was tried of a promise, or could not be tried. */
export interface Finding {
  verdict: Verdict
  /** The figure, or why it was skipped. */
  text: string
}

/** What a drill says of one promise of the README. */
export interface Judged extends Finding {
  /** The number of the promise in the README. */
  promise: number
  title: string
  findings: Finding[]
}

export const held = (text: string): Finding => ({ verdict: 'held', text })
export const broken = (text: string): Finding => ({ verdict: 'broken', text })
export const skipped = (text: string): Finding => ({ verdict: 'skipped', text })

/** Returns `held` if no fault was found, otherwise `broken` with all faults in place of the figure. */
export const unless = (faults: readonly (string | false | undefined)[], figure: string): Finding => {
  const found = faults.filter((fault) => typeof fault === 'string')
  return found.length === 0 ? held(figure) : broken(found.join('; '))
}

/** Judges a step that was tried. @returns the reason of a step that was not, and nothing for a step that was not asked for */
export function ofStep(
  { steps }: Observations,
  fault: Step['fault'],
  judge: (step: Step) => Finding | Finding[]
): Finding[] {
  const step = steps.find((one) => one.fault === fault)
  if (!step) return []
  return step.skipped === undefined ? [judge(step)].flat() : [skipped(`${fault}: ${step.skipped}`)]
}

/** The verdict of all findings: one that is broken breaks the promise, and it holds when something held and nothing is broken. */
export function combine(promise: number, title: string, findings: Finding[]): Judged {
  const verdict = (['broken', 'held'] as const).find((one) => findings.some((finding) => finding.verdict === one))
  const shown = findings.filter((finding) => finding.verdict === (verdict ?? 'skipped'))
  const text = shown.length > 0 ? shown.map((finding) => finding.text).join('; ') : 'its faults were not asked for'
  return { promise, title, verdict: verdict ?? 'skipped', text, findings }
}
