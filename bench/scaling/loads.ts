import type { SimulatedLoad } from './simulation.ts'

const at = (seconds: number, from: number, to: number) => seconds >= from && seconds < to

/** A ramp up from `from` to `to`, a plateau as long as a ramp, and a ramp down. */
function ramp(seconds: number, rampSeconds: number, from: number, to: number): number {
  const position = Math.min(seconds, 3 * rampSeconds - seconds) / rampSeconds
  return from + (to - from) * Math.max(0, Math.min(1, position))
}

/** A number from 0 to 1 that is always the same for one integer. */
function noise(integer: number): number {
  const mixed = Math.sin(integer * 12.9898) * 43_758.5453
  return mixed - Math.floor(mixed)
}

/** A day in an hour: a night, a morning that rises, a peak, and noise that lasts for 20 s each. */
function day(seconds: number): number {
  const wave = (1 - Math.cos((2 * Math.PI * seconds) / 3600)) / 2
  return (0.3 + 4.2 * wave) * (0.75 + 0.5 * noise(Math.floor(seconds / 20)))
}

/** The simulated loads, by the name of their table. Demand 1 keeps one event loop busy. */
export const LOADS: Readonly<Record<string, SimulatedLoad>> = {
  'Step: 0.2, from 2 to 7 minutes 3.0': {
    demand: (seconds) => (at(seconds, 120, 420) ? 3 : 0.2),
    seconds: 720,
    bootMs: 500
  },
  'Ramp: in 2 minutes from 0.2 to 5.0, and down': {
    demand: (seconds) => ramp(seconds, 120, 0.2, 5),
    seconds: 600,
    bootMs: 500
  },
  'Ramp, and a worker boots for 10 s': {
    demand: (seconds) => ramp(seconds, 120, 0.2, 5),
    seconds: 600,
    bootMs: 10_000
  },
  'Bursts: 10 s of 4.0 every 3 minutes': {
    demand: (seconds) => (at(seconds % 180, 60, 70) ? 4 : 0.5),
    seconds: 1800,
    bootMs: 500
  },
  'A noisy day in one hour': { demand: day, seconds: 3600, bootMs: 500 }
}
