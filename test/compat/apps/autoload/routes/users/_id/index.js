export default async function (app) {
  app.get('/', async (request) => ({ id: request.params.id }))
}
