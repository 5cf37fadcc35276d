import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { cleanup } from './cleanup.ts'
import { until } from './until.ts'

type Value = { stringValue?: string; intValue?: number | string; boolValue?: boolean; doubleValue?: number }
type Attributes = Record<string, string | number | boolean | undefined>

interface Encoded {
  attributes?: { key: string; value: Value }[]
}

interface EncodedSpan extends Encoded {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  status?: { code?: number }
  startTimeUnixNano: string
  endTimeUnixNano: string
}

interface TracesRequest {
  resourceSpans: { resource: Encoded; scopeSpans: { scope: { name: string }; spans: EncodedSpan[] }[] }[]
}

export interface ReceivedSpan extends Omit<EncodedSpan, 'attributes'> {
  scope: string
  attributes: Attributes
  /** Of the process that has sent the span. */
  resource: Attributes
}

const SERVER_KIND = 2
export const CLIENT_KIND = 3
export const ERROR_STATUS = 2

/** A receiver of OTLP over HTTP, in JSON. Other encodings are kept as bytes. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = []
  /** Bodies in protobuf. */
  readonly binary: Buffer[] = []
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const sent = Buffer.concat(chunks)
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent
      const isJson = request.headers['content-type'] === 'application/json'
      if (request.method !== 'POST' || request.url !== '/v1/traces') response.statusCode = 404
      else if (isJson) this.#receive(JSON.parse(body.toString()) as TracesRequest)
      else this.binary.push(body)
      response.setHeader('content-type', isJson ? 'application/json' : 'application/x-protobuf').end(isJson ? '{}' : '')
    })
  })

  static async start(t: TestContext): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver()
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    cleanup(t, async () => {
      receiver.#server.closeAllConnections()
      receiver.#server.close()
      await once(receiver.#server, 'close')
    })
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Waits for a span. */
  async span(matches: (span: ReceivedSpan) => boolean, what: string): Promise<ReceivedSpan> {
    await until(() => this.spans.some(matches), what)
    return this.spans.find(matches)!
  }

  /** The spans below a span, in the order of their beginning. */
  below({ traceId, spanId }: ReceivedSpan): ReceivedSpan[] {
    return this.spans
      .filter((span) => span.traceId === traceId && span.parentSpanId === spanId)
      .sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
  }

  #receive({ resourceSpans }: TracesRequest): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({
            ...span,
            scope: scope.name,
            attributes: attributesOf(span),
            resource: attributesOf(resource)
          })
        }
      }
    }
  }
}

/** Whether a span is that of a request. */
export const isServer = ({ kind }: ReceivedSpan): boolean => kind === SERVER_KIND

const attributesOf = ({ attributes = [] }: Encoded): Attributes =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] as string | number | boolean]))
