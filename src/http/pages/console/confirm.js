// Questions before a command that destroys something. The button that goes on has the verb of the command.

import { $ } from './page.js'

/** By command: the question, what happens, and the verb; undefined where no confirmation is needed. */
const QUESTIONS = {
  stop: () => ['Stop the service?', 'It drains and ends. The console cannot start it again.', 'Stop the service'],
  upgrade: () => [
    'Upgrade the primary?',
    'A new primary, with the code and the Node.js on disk, replaces this one and all workers, slot by slot.',
    'Upgrade'
  ],
  rollback: () => ['Roll back?', 'The reload ends, and the release before it serves again in every slot.', 'Roll back'],
  scale: ({ workers }, { desired }) =>
    workers < desired && [
      `Scale down to ${workers}?`,
      `The service has ${desired} workers. Those that leave transfer their connections.`,
      'Scale down'
    ],
  heap: ({ slot }) => [
    `Take a heap snapshot of slot ${slot}?`,
    'A new worker takes the slot, the old one leaves. The file contains all of its memory, secrets included.',
    'Take the snapshot'
  ],
  'quarantine-add': ({ route }) => [
    `Quarantine ${route}?`,
    'Every worker answers 503 to requests of this route until you lift it.',
    'Quarantine the route'
  ],
  'settings-set': ({ key, value }) =>
    key === 'maintenance' &&
    value === true && [
      'Turn maintenance on?',
      'Every route of your app answers 503 until you turn it off.',
      'Turn maintenance on'
    ]
}

let resolveAnswer = () => {}

function answerQuestion() {
  if (!$('confirm').open) resolveAnswer($('confirm').returnValue === 'yes')
}

$('confirm').addEventListener('close', answerQuestion)

/**
 * Asks the operator if the command needs a confirmation.
 * @param context `desired`: the number of workers
 * @returns whether to go on
 */
export async function confirmed(name, args, context) {
  const question = QUESTIONS[name]?.(args, context)
  if (!question) return true
  answerQuestion() // the event of the previous question comes a moment after its dialog has closed, maybe not yet
  const [title, text, verb] = question
  $('question').textContent = title
  $('consequence').textContent = text
  $('yes').textContent = verb
  $('confirm').returnValue = 'no'
  $('confirm').showModal()
  return new Promise((resolve) => {
    resolveAnswer = resolve
  })
}
