import mercurius from 'mercurius'

const schema = `
  type Query { add(x: Int!, y: Int!): Int! }
  type Mutation { shout(text: String!): String! }
  type Subscription { ticks(count: Int!): Int! }
`
const resolvers = {
  Query: { add: async (_, { x, y }) => x + y },
  Mutation: { shout: async (_, { text }) => text.toUpperCase() },
  Subscription: {
    ticks: {
      subscribe: async function* (_, { count }) {
        for (let ticks = 1; ticks <= count; ticks++) yield { ticks }
      }
    }
  }
}

export default async function (app) {
  await app.register(mercurius, { schema, resolvers, subscription: true })
}
