let lastId = 0

/** @returns an id for a connection that this worker sends to the primary; no other one of this worker has it */
export const nextTransferId = (): number => ++lastId
