/** A command that cannot be done as asked; the message is for who asked. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** As HTTP has it. */
  readonly statusCode: number

  constructor(message: string, statusCode = 400) {
    super(message)
    this.statusCode = statusCode
  }
}
