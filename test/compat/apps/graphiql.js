import mercurius from 'mercurius'

// GraphiQL loads its scripts from a CDN and has styles in its page.
export const muster = {
  contentSecurityPolicy:
    "default-src 'self' https://unpkg.com; style-src 'self' 'unsafe-inline' https://unpkg.com; font-src 'self' data:"
}

export default async function (app) {
  await app.register(mercurius, {
    schema: 'type Query { add(x: Int!, y: Int!): Int! }',
    resolvers: { Query: { add: async (_, { x, y }) => x + y } },
    graphiql: true
  })
}
