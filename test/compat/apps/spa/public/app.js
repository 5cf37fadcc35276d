const $ = (selector) => document.querySelector(selector)

function showPath() {
  $('h1').textContent = location.pathname === '/' ? 'Home' : `Page ${location.pathname}`
}

async function call(method, path, body) {
  const response = await fetch(`/api/${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  })
  const { user } = await response.json()
  $('#user').textContent = user ? `Logged in as ${user}` : 'Logged out'
}

document.querySelector('nav').addEventListener('click', (event) => {
  if (!event.target.href) return
  event.preventDefault()
  history.pushState(null, '', event.target.href)
  showPath()
})
addEventListener('popstate', showPath)
$('#login').addEventListener('click', () => call('POST', 'login', { user: 'ada' }))
$('#logout').addEventListener('click', () => call('POST', 'logout'))
showPath()
await call('GET', 'me')
