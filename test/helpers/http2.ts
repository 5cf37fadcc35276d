import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { type Answer, NoAnswer } from './http.ts'

/** The server says that it has not begun with a request: it may be asked again. */
export class Refused extends NoAnswer {}

/** The client's side knows before it asks that the session takes nothing more. */
const NOT_ASKED = new Set(['ERR_HTTP2_GOAWAY_SESSION', 'ERR_HTTP2_INVALID_SESSION'])

/** One session of an HTTP/2 client that never retries. */
export class Http2Client {
  readonly session: ClientHttp2Session

  private constructor(session: ClientHttp2Session) {
    this.session = session
    // What it breaks off says so itself.
    session.on('error', () => {})
  }

  static open(port: number, ca?: string): Promise<Http2Client> {
    return new Promise((resolve, reject) => {
      const session = connect(`https://127.0.0.1:${port}`, { ca, rejectUnauthorized: ca !== undefined })
      const fail = (error: NodeJS.ErrnoException) => reject(new NoAnswer(`connect: ${error.code}`))
      session.once('error', fail)
      // The server has spoken: what becomes of a request from now on, it says.
      session.once('remoteSettings', () => {
        session.off('error', fail)
        resolve(new Http2Client(session))
      })
    })
  }

  /** It takes no more requests. */
  get ended(): boolean {
    return this.session.closed || this.session.destroyed
  }

  /** The serial number of the certificate that the server shows. */
  get serial(): string {
    return (this.session.socket as TLSSocket).getPeerCertificate().serialNumber
  }

  get(path: string, headers: IncomingHttpHeaders = {}, body?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let stream: ReturnType<ClientHttp2Session['request']>
      try {
        stream = this.session.request({ ':path': path, ...headers })
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException
        reject(NOT_ASKED.has(code) ? new Refused(code) : error)
        return
      }
      const answer: Answer = { status: 0, headers: {}, body: '' }
      stream.on('response', ({ ':status': status = 0, ...others }) => {
        answer.status = status
        answer.headers = others as Record<string, string>
      })
      stream.setEncoding('utf8').on('data', (text: string) => {
        answer.body += text
      })
      let code: string | undefined
      stream.on('error', (error: NodeJS.ErrnoException) => {
        code = error.code
      })
      stream.on('close', () => {
        const refused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || NOT_ASKED.has(code ?? '')
        if (code === undefined && stream.rstCode === 0 && answer.status > 0) resolve(answer)
        else reject(refused ? new Refused('refused') : new NoAnswer(`stream ${stream.rstCode} ${code ?? ''}`))
      })
      stream.end(body)
    })
  }

  close(): void {
    this.session.destroy()
  }
}
