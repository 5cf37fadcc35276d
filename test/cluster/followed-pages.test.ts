import { test } from 'node:test'
import { FOLLOWED } from '../helpers/block-tests.ts'
import { EXAMPLES } from '../helpers/documents.ts'
import { Walkthrough } from '../helpers/walkthrough.ts'
import '../helpers/uncounted.ts'

// cluster/examples follows those of the examples.
for (const page of FOLLOWED.filter((name) => !EXAMPLES.includes(name))) {
  test(`${page}: what it says works as it stands`, async (t) => {
    await Walkthrough.follow(t, page)
  })
}
