import plugin from 'fastify-plugin'

export default plugin(async (app) => {
  app.decorate('year', () => new Date().getFullYear())
})
