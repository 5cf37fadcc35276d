/**
 * Reports which private parts of Node this process has, by the names that docs/architecture.md lists. Every module of this
 * folder exports one probe. A probe is cheap: it opens no port and takes less than a millisecond or two.
 */
export type Probe = () => Record<string, boolean>

/**
 * Runs probes at start-up, so that an unsupported Node is named before the first connection and not by a later TypeError.
 * @param version of Node, as `process.version`
 * @returns the problem and its remedy; undefined when nothing is missing
 */
export function describeMissingInternals(probes: readonly Probe[], version = process.version): string | undefined {
  const missing = probes.flatMap((probe) =>
    Object.entries(probe())
      .filter(([, exists]) => !exists)
      .map(([name]) => name)
  )
  if (missing.length === 0) return undefined
  return `Node ${version} lacks ${missing.join(', ')}, which this version of muster needs: use Node 20, 22, 24 or 26`
}
