// The reference on Node.js: Fastify and postgres.js, one process, the catalog in memory, one statement per request.
//   node server.js PORT DATABASE_URL CONNECTIONS
import Fastify from 'fastify'
import postgres from 'postgres'

import { appRoutes } from './apps.js'
import { authentication } from './auth.js'
import { bulkRoutes } from './bulk.js'
import { loadCatalog } from './catalog.js'
import { answerErrors } from './errors.js'
import { listRoutes } from './list.js'

const [port, url, connections] = process.argv.slice(2)
const sql = postgres(url, { max: Number(connections), onnotice: () => {} })
const server = Fastify({
  logger: false,
  genReqId: (request) => request.headers['x-request-id'] ?? crypto.randomUUID().replaceAll('-', ''),
  // Fastify's defaults would convert "true" to true and drop unknown fields. The contract refuses both.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
})
const context = { sql, catalog: await loadCatalog(sql) }
server.addHook('onRequest', authentication(sql))
answerErrors(server)
appRoutes(server, context)
listRoutes(server, context)
bulkRoutes(server, context)
await server.listen({ host: '127.0.0.1', port: Number(port) })

process.on('SIGTERM', () => process.exit(0))
