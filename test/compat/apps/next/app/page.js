import Counter from './counter.js'

export default function Page() {
  return (
    <main>
      <h1>Hello Next</h1>
      <Counter />
    </main>
  )
}
