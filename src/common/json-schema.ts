/**
 * A JSON schema, as OpenAPI and ajv use it: a plain constant, from which the compiler infers the type of the values. A schema
 * library would load hundreds of modules into every process. {@link Static} knows the keywords that are used here; the
 * values of other schemas are `unknown`.
 */
export interface Schema {
  readonly [keyword: string]: unknown
}
export interface Properties {
  readonly [name: string]: Schema
}

interface SimpleTypes {
  string: string
  boolean: boolean
  integer: number
  number: number
  null: null
}

/** The type of the values that fit a schema. A property with a default is always present. */
export type Static<S> = S extends { const: infer Value }
  ? Value
  : S extends { anyOf: readonly (infer One)[] }
    ? Static<One>
    : S extends { type: keyof SimpleTypes }
      ? SimpleTypes[S['type']]
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

/** The schema of an object with required properties, and optional ones. */
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

/** The schema of a list. */
export const array = <const S extends Schema>(items: S) => ({ type: 'array', items }) as const

/** The schema of a text that is one of `values`. */
export const oneOf = <const V extends string>(...values: readonly V[]) =>
  ({ anyOf: values.map((value) => ({ type: 'string', const: value }) as const) }) as const
