import { IN_FLIGHT, type InFlight } from '../../ipc/messages.ts'

/** One call of a stack; lines and columns count from 1. */
export interface Frame {
  functionName: string
  url: string
  line: number
  column: number
}

export interface Found {
  /** The innermost first. */
  frames: Frame[]
  inFlight: InFlight[]
  /** Why something is missing. */
  fault?: string
}

/** The part of the Chrome DevTools Protocol that is used here; its lines and columns count from 0. */
interface CallFrame {
  callFrameId: string
  functionName: string
  location: { scriptId: string; lineNumber: number; columnNumber?: number }
}
type Answer =
  | { id: number; result?: { result?: { value?: unknown } } }
  | { method: 'Debugger.scriptParsed'; params: { scriptId: string; url: string } }
  | { method: 'Debugger.paused'; params: { callFrames: CallFrame[] } }
  | { method: '' }
type Send = (id: number, method: string, params?: object) => void

const EVALUATE = 3
const LIST = `globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(IN_FLIGHT))})]?.()`

/**
 * Pauses a process through its inspector and reads its stack and its requests in flight: what it has of them by the
 * deadline. Never rejects. @param url of the inspector's WebSocket
 */
export async function askInspector(url: string, deadlineMs: number): Promise<Found> {
  const found: Found = { frames: [], inFlight: [], fault: 'its inspector gave no stack in time' }
  try {
    // Loaded when it is needed: node 20 has no WebSocket of its own.
    const { WebSocket } = await import('ws')
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const send: Send = (id, method, params = {}) => socket.send(JSON.stringify({ id, method, params }))
    const take = taker(found, send)
    await new Promise<void>((resolve, reject) => {
      setTimeout(resolve, deadlineMs).unref()
      socket.on('open', () => {
        send(1, 'Debugger.enable')
        send(2, 'Debugger.pause')
      })
      socket.on('message', (data) => {
        try {
          if (take(JSON.parse(String(data)) as Answer)) resolve()
        } catch (error) {
          reject(error)
        }
      })
      socket.on('error', reject)
      socket.on('close', resolve)
    }).finally(() => socket.terminate())
  } catch (error) {
    found.fault = `its inspector: ${(error as Error).message}`
  }
  return found
}

/** Takes what is in an answer; true when there is nothing more to come. */
function taker(found: Found, send: Send): (answer: Answer) => boolean {
  // Enabled, it tells of every script there is; a call names its script by number.
  const urls = new Map<string, string>()
  return (answer) => {
    if ('id' in answer) {
      if (answer.id !== EVALUATE) return false
      const list = answer.result?.result?.value
      if (typeof list === 'string') {
        found.inFlight = JSON.parse(list) as InFlight[]
        delete found.fault
      }
      return true
    }
    if (answer.method === 'Debugger.scriptParsed') urls.set(answer.params.scriptId, answer.params.url)
    if (answer.method === 'Debugger.paused') {
      const { callFrames } = answer.params
      found.frames = callFrames.map((frame) => frameOf(frame, urls))
      found.fault = 'its requests in flight could not be read'
      const callFrameId = callFrames[0]?.callFrameId
      send(EVALUATE, 'Debugger.evaluateOnCallFrame', { callFrameId, expression: LIST, silent: true })
    }
    return false
  }
}

const frameOf = ({ functionName, location }: CallFrame, urls: Map<string, string>): Frame => ({
  functionName,
  url: urls.get(location.scriptId) ?? '',
  line: location.lineNumber + 1,
  column: (location.columnNumber ?? 0) + 1
})
