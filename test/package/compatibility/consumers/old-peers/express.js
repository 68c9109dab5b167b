const express = require('express')
const session = require('express-session')
const { gradioState } = require('gradio-state')
const { countVisits } = require('./visits.js')

const gradio = gradioState()
const visits = gradio.state('visits', { value: 0 })

const app = express()
app.use(session({ secret: 'a secret', resave: false, saveUninitialized: false }))
app.use(gradio)
app.get('/', (req, res) => {
  req.gradioState.update(visits, count => count + 1)
  res.send(String(req.gradioState.get(visits)))
})

countVisits(app, gradio)
