// Reads a heap snapshot in a thread of its own, so that the page stays usable. Gets the pieces of the file, then `end`.

import { HeapReader } from './heap-reader.js'
import { summarizeHeap } from './heap-summary.js'

const reader = new HeapReader()

addEventListener('message', ({ data }) => {
  try {
    if (data === 'end') postMessage({ summary: summarizeHeap(reader.end()) })
    else reader.write(data)
  } catch ({ message }) {
    postMessage({ error: message })
  }
})
