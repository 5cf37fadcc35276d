/** Where a CPU profile was taken. */
export interface ProfileOrigin {
  slot: number
  pid: number
  generation: number
  /** The release of the app, as the log names it. */
  release: string
  /** Set while a new release is judged. */
  role?: 'canary' | 'control'
  /** Folder of the app's package: the files of two releases in different folders have the same paths below it. */
  root?: string
  /** Folder of the service's own code. */
  service?: string
}
