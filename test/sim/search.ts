// Usage: node search.js <number of seeds>. Prints what was found as JSON: for copies of the service with a planted bug.
import { runSeeds } from './run-seeds.ts'

// Rollouts of one slot after another take longest, so that most faults meet one.
const { totals, failure } = await runSeeds(1, Number(process.argv[2]), { surge: 1 })
console.log(JSON.stringify({ found: failure?.result.violation?.what, seeds: totals.seeds }))
