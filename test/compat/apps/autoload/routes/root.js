export default async function (app) {
  app.get('/', async () => ({ year: app.year() }))
}
