/** The drill cannot begin, or cannot go on. The message is for people. */
export class DrillError extends Error {}

/** The drill was told to end. */
export class Interrupted extends Error {}
