document.querySelector('#script').textContent = 'The script ran'
