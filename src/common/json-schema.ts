/**
 * Schemas are JSON, as OpenAPI and ajv have it: plain constants that cost a process nothing, and whose types the compiler
 * reads out of them. A schema library for that is hundreds of modules in every process. What is here knows no more of
 * JSON Schema than is used here; what it does not know is `unknown`.
 */
export interface Schema {
  readonly [keyword: string]: unknown
}
export interface Properties {
  readonly [name: string]: Schema
}

interface Simple {
  string: string
  boolean: boolean
  integer: number
  number: number
  null: null
}

/** The values that fit a schema. A property with a default counts as there. */
export type Static<S> = S extends { const: infer Value }
  ? Value
  : S extends { anyOf: readonly (infer One)[] }
    ? Static<One>
    : S extends { type: keyof Simple }
      ? Simple[S['type']]
      : S extends { type: 'array'; items: infer Item }
        ? Static<Item>[]
        : S extends { properties: infer P }
          ? Members<P, S extends { required: readonly (infer Name)[] } ? Name : never>
          : S extends { patternProperties: Record<string, infer Item> }
            ? Record<string, Static<Item>>
            : unknown

type Members<P, Required> = {
  [N in keyof P as N extends Always<P, Required> ? N : never]: Static<P[N]>
} & { [N in keyof P as N extends Always<P, Required> ? never : N]?: Static<P[N]> }
type Always<P, Required> = Required | { [N in keyof P]: P[N] extends { default: unknown } ? N : never }[keyof P]

/** An object that has the first properties, and may have the second. */
export function object<const R extends Properties, const O extends Properties = Record<never, never>>(
  required: R,
  optional = {} as O
) {
  const names = Object.keys(required) as (keyof R & string)[]
  const properties = { ...required, ...optional }
  return {
    type: 'object',
    properties,
    ...((names.length > 0 && { required: names }) as { required: typeof names })
  } as const
}

export const array = <const S extends Schema>(items: S) => ({ type: 'array', items }) as const

/** Text that is one of these. */
export const oneOf = <const V extends string>(...values: readonly V[]) =>
  ({ anyOf: values.map((value) => ({ type: 'string', const: value }) as const) }) as const
