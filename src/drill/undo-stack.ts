/** What must be undone, whatever becomes of the drill. */
export class UndoStack {
  readonly #undos: (() => unknown)[] = []

  /** @returns undoes it now. It is undone once. */
  add(undo: () => unknown): () => Promise<void> {
    this.#undos.push(undo)
    return async () => {
      const at = this.#undos.indexOf(undo)
      if (at < 0) return
      this.#undos.splice(at, 1)
      await undo()
    }
  }

  /** Undoes everything, the last first. An error keeps nothing else from being undone. @throws the first error */
  async run(): Promise<void> {
    const errors: unknown[] = []
    for (let undo = this.#undos.pop(); undo; undo = this.#undos.pop()) {
      try {
        await undo()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
