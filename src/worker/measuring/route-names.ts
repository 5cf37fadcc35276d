/** The names of routes, such as "GET /todos/:id". Each is built once. */
export class RouteNames {
  readonly #methods = new Map<string, Map<string, string>>()

  of(method: string, template: string): string {
    let names = this.#methods.get(method)
    if (!names) this.#methods.set(method, (names = new Map()))
    let name = names.get(template)
    if (name === undefined) names.set(template, (name = `${method} ${template || '(no route)'}`))
    return name
  }
}
