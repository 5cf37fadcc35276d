import { ApolloServer } from '@apollo/server'
import fastifyApollo, { fastifyApolloDrainPlugin } from '@as-integrations/fastify'

export default async function (app) {
  const apollo = new ApolloServer({
    typeDefs: 'type Query { add(x: Int!, y: Int!): Int! }',
    resolvers: { Query: { add: (_, { x, y }) => x + y } },
    plugins: [fastifyApolloDrainPlugin(app)]
  })
  await apollo.start()
  await app.register(fastifyApollo(apollo))
}
