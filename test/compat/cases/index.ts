import type { Case } from '../case.ts'
import { connections } from './connections.ts'
import { frameworks } from './frameworks.ts'
import { pages } from './pages.ts'
import { requests } from './requests.ts'
import { sessions } from './sessions.ts'
import { starters } from './starters.ts'

/** All cases, in the order of docs/compatibility.md. */
export const CASES: Record<string, Case[]> = {
  'Cookies, sessions and sign-in': sessions,
  'Requests and responses': requests,
  'Pages and documents': pages,
  'Connections and other servers': connections,
  Frameworks: frameworks,
  'Starter apps': starters
}
