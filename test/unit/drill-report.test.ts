import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge } from '../../src/drill/judgement/judge-promises.ts'
import type { Observations } from '../../src/drill/observations.ts'
import { toHtml, toMarkdown } from '../../src/drill/report/render-report.ts'
import { reportPage } from '../../src/drill/report/report-page.ts'
import { goodDrill, withStep } from '../helpers/good-drill.ts'

const page = (seen: Observations) => reportPage(seen, judge(seen))

test('a report in Markdown has a row for each promise and each fault, and says what was not tried', () => {
  const text = toMarkdown(page(withStep('hang', { skipped: 'HEARTBEAT_TIMEOUT is off' })))
  assert.match(
    text,
    /^# Drill of http:\/\/localhost:8080\n\nmuster 0\.1\.0, 2 workers, SCHEDULING=rr, the embedded Redis\. 9 faults, 5,000 requests\.\n/
  )
  assert.match(
    text,
    /^\| 1\. A reload loses nothing \| held \| 0 of 500 requests failed, 0 connections closed in a reload of 2 s \|$/m
  )
  assert.match(text, /^\| 8\. The primary dies \| skipped \|/m)
  assert.match(text, /^\| kill: SIGKILL of a worker \| 2 s \| 500 \| 0 \| 0 \| 0 \| 30 ms \|$/m)
  assert.match(text, /^- promise 5: hang: HEARTBEAT\\_TIMEOUT is off$/m)
  assert.match(text, /^- the service is as it was$/m)
})

test('a report shows text of the service as text, in Markdown and on a web page', () => {
  const evil = '<img src=x> | `a`\n# b'
  const seen = withStep('reload', { reload: { outcome: 'failed', why: evil, before: [1], after: [1] } })
  const markdown = toMarkdown(page(seen))
  assert.ok(markdown.includes('\\<img src=x\\> \\| \\`a\\`\\\\n# b'))
  assert.doesNotMatch(markdown, /^# b/m)
  const html = toHtml(page(seen))
  assert.ok(html.includes('&lt;img src=x&gt; | `a`\\n# b'))
  assert.doesNotMatch(html, /<img/)
})

test('a report on a web page needs no other file, and marks each verdict', () => {
  const html = toHtml(page(goodDrill({ differences: ['2 workers were wanted, now 3'] })))
  assert.match(html, /^<!doctype html>\n<html lang="en">/)
  assert.match(html, /<td class="held">held<\/td>/)
  assert.match(html, /<li>2 workers were wanted, now 3<\/li>/)
  assert.doesNotMatch(html, /(?:src|href)=/)
})
