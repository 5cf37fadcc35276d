import { test } from 'node:test'
import { COMPARED_PAGES } from '../helpers/compared-pages.ts'
import { RECIPES } from '../helpers/documents.ts'
import { Walkthrough } from '../helpers/walkthrough.ts'
import '../helpers/uncounted.ts'

for (const page of RECIPES.filter((name) => !(name in COMPARED_PAGES))) {
  test(`${page}: what it says works as it stands`, async (t) => {
    await Walkthrough.follow(t, page)
  })
}
