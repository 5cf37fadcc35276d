// To be imported by test files that `npm test` leaves out, because it takes six minutes at most: tests of many processes whose
// subject other tests cover too, in parts or by pure functions. `npm run test:slow` runs these files.
export {}
