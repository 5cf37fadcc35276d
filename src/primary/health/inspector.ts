import { IN_FLIGHT, type InFlight } from '../../ipc/messages.ts'

/** One call of a stack. Lines and columns count from 1. */
export interface StackFrame {
  functionName: string
  url: string
  line: number
  column: number
}

export interface Inspection {
  /** The innermost frame first. */
  frames: StackFrame[]
  inFlight: InFlight[]
  /** Why something is missing. */
  problem?: string
}

/** The part of the Chrome DevTools Protocol that is used here. Its lines and columns count from 0. */
interface CallFrame {
  callFrameId: string
  functionName: string
  location: { scriptId: string; lineNumber: number; columnNumber?: number }
}
type Message =
  | { id: number; result?: { result?: { value?: unknown } } }
  | { method: 'Debugger.scriptParsed'; params: { scriptId: string; url: string } }
  | { method: 'Debugger.paused'; params: { callFrames: CallFrame[] } }
  | { method: '' }
type Send = (id: number, method: string, params?: object) => void

/** Id of the request that evaluates {@link LIST_IN_FLIGHT}. */
const EVALUATE = 3
const LIST_IN_FLIGHT = `globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(IN_FLIGHT))})]?.()`

/**
 * Pauses a process through its inspector and reads its stack and its unanswered requests: as much as it sends within
 * `timeoutMs`. Never rejects.
 * @param url of the inspector's WebSocket
 */
export async function inspect(url: string, timeoutMs: number): Promise<Inspection> {
  const inspection: Inspection = { frames: [], inFlight: [], problem: 'its inspector gave no stack in time' }
  try {
    // Loaded only when needed. Node 20 has no WebSocket of its own.
    const { WebSocket } = await import('ws')
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const send: Send = (id, method, params = {}) => socket.send(JSON.stringify({ id, method, params }))
    const read = createReader(inspection, send)
    await new Promise<void>((resolve, reject) => {
      setTimeout(resolve, timeoutMs).unref()
      socket.on('open', () => {
        send(1, 'Debugger.enable')
        send(2, 'Debugger.pause')
      })
      socket.on('message', (data) => {
        try {
          if (read(JSON.parse(String(data)) as Message)) resolve()
        } catch (error) {
          reject(error)
        }
      })
      socket.on('error', reject)
      socket.on('close', resolve)
    }).finally(() => socket.terminate())
  } catch (error) {
    inspection.problem = `its inspector failed: ${(error as Error).message}`
  }
  return inspection
}

/** @returns a function that reads a message into `inspection`; true after the last one */
function createReader(inspection: Inspection, send: Send): (message: Message) => boolean {
  // A stack frame names its script by a number. The inspector announces the URL of every script when it is enabled.
  const urls = new Map<string, string>()
  return (message) => {
    if ('id' in message) {
      if (message.id !== EVALUATE) return false
      const list = message.result?.result?.value
      if (typeof list === 'string') {
        inspection.inFlight = JSON.parse(list) as InFlight[]
        delete inspection.problem
      }
      return true
    }
    if (message.method === 'Debugger.scriptParsed') urls.set(message.params.scriptId, message.params.url)
    if (message.method === 'Debugger.paused') {
      const { callFrames } = message.params
      inspection.frames = callFrames.map((frame) => stackFrameOf(frame, urls))
      inspection.problem = 'its requests in flight could not be read'
      const callFrameId = callFrames[0]?.callFrameId
      send(EVALUATE, 'Debugger.evaluateOnCallFrame', { callFrameId, expression: LIST_IN_FLIGHT, silent: true })
    }
    return false
  }
}

const stackFrameOf = ({ functionName, location }: CallFrame, urls: Map<string, string>): StackFrame => ({
  functionName,
  url: urls.get(location.scriptId) ?? '',
  line: location.lineNumber + 1,
  column: (location.columnNumber ?? 0) + 1
})
