/** What an operator asks of one reload instead of what is configured. */
export interface ReloadRequest {
  /** The share of new connections that the canary receives, above 0 and up to 0.5. */
  share?: number | undefined
  /** How long the canary is judged, also without traffic, in ms. */
  forMs?: number | undefined
  /** False: the canary is not judged. */
  verdict?: boolean | undefined
}

/** What follows when a trial has not decided. */
export const UNDECIDED_CHOICES = ['continue', 'hold', 'rollback'] as const
export type Undecided = (typeof UNDECIDED_CHOICES)[number]

/**
 * A canary that is judged by its own traffic. While the trial goes on, all other workers are kept alive, recycled and scaled
 * as if there were no rollout.
 */
export interface Trial {
  /** Id of the first worker of the new release. */
  canary: number
  /** Id of the new worker of the old release that the canary is compared with. */
  control?: number | undefined
  /** False if the old release cannot be started any more: then only the errors of the old workers are compared. */
  wantsControl: boolean
  /** The share of new connections that each of the two receives. */
  share: number
  /** The trial is undecided after this many ms. */
  maxMs: number
  undecided: Undecided
  /** When both began to receive connections; undefined while the control starts. */
  startedAt?: number | undefined
  /** The trial did not decide in its time, and an operator must. */
  held?: true
}
