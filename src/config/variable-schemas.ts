// The schemas of single variables of the environment.

export const integer = (options: { default: number; minimum: number; maximum: number; description: string }) =>
  ({ type: 'integer', ...options }) as const
export const string = (options: { default: string; pattern?: string; description: string }) =>
  ({ type: 'string', ...options }) as const
export const optional = (options: { description: string }) => ({ type: 'string', ...options }) as const
export const ms = (fallback: number, minimum: number, description: string) =>
  integer({ default: fallback, minimum, maximum: 2 ** 31 - 1, description: `${description}, in ms` })
export const orOff = (fallback: number, description: string) =>
  integer({ default: fallback, minimum: 0, maximum: 2 ** 31 - 1, description: `${description}; 0 is off` })
export const kib = (fallback: number, description: string) =>
  integer({ default: fallback, minimum: 1, maximum: 2 ** 20, description: `${description}, in KiB` })
