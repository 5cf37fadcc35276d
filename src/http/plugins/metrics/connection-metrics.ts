import { Counter, Gauge, type Registry } from 'prom-client'
import type { Config } from '../../../config/load.ts'

/** Measures refused connections, by reason, and pauses of accepting. */
export function measureRefusals(
  registry: Registry,
  { refusalCounts, acceptPauses }: { refusalCounts: () => Readonly<Record<string, number>>; acceptPauses: () => number }
): void {
  new Counter({
    name: 'cluster_accept_pauses_total',
    help: 'How often the process stopped accepting connections for lack of file descriptors.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(acceptPauses())
    }
  })
  new Counter({
    name: 'http_connections_refused_total',
    help: 'Refused connections by reason: worker (MAX_CONNECTIONS), client (MAX_CONNECTIONS_PER_CLIENT) or proxy-header (no header that PROXY_PROTOCOL requires).',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(refusalCounts())) this.inc({ reason }, count)
    }
  })
}

/** Shows when the worker's certificate expires, which also tells certificates apart. Without TLS there is no series. */
export function measureCertificate(registry: Registry, tls: Config['tls']): void {
  const gauge = new Gauge({
    name: 'tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that the worker has read from TLS_CERT expires, in seconds since 1970.',
    registers: [registry]
  })
  if (tls) gauge.set(tls.expiresAt / 1000)
  else gauge.remove()
}
