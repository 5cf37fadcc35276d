// Usage: node search.js <number of seeds>. Prints what was found as JSON: for copies of the service with a planted bug.
import { runSeeds } from './run-seeds.ts'

const { totals, failure } = await runSeeds(1, Number(process.argv[2]))
console.log(JSON.stringify({ found: failure?.result.violation?.what, seeds: totals.seeds }))
