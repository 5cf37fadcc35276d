import { type Action, isLive, type Worker } from './types.ts'

/** Ends a worker in the way that its status requires; no action for one that leaves already. */
export function endWorker(worker: Worker, cause: string, transfer = true): Action[] {
  if (worker.killed || !isLive(worker)) return []
  if (worker.status === 'ready') return [{ type: 'drain', id: worker.id, transfer, cause }]
  return [{ type: 'kill', id: worker.id, reason: 'unwanted', cause }]
}
