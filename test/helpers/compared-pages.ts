/**
 * Pages whose packages are not installed in the checkout. The compatibility suite runs the named apps, and a test compares each block
 * that has a file name with one of them.
 */
export const COMPARED_PAGES: Record<string, string[]> = {
  'docs/recipes/nest.md': ['test/compat/apps/starters/nest/src/main.ts'],
  'docs/recipes/socket-io.md': ['test/compat/apps/socket-io-fastify.js']
}
