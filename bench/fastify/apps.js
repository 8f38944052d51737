// One app: GET and PATCH.
import { columns, encodeApp, path } from './catalog.js'
import { notFound } from './errors.js'

const body = {
  type: 'object',
  additionalProperties: false,
  properties: {
    is_favorite: { type: 'boolean' },
    is_approved: { type: 'boolean' },
    license_count: { type: 'integer', nullable: true, minimum: 0, maximum: 2147483647 },
  },
}
const fields = Object.keys(body.properties)

export async function missingClient(sql, client) {
  const [{ found }] = await sql`SELECT EXISTS (SELECT FROM clients WHERE id = ${client}) AS found`
  if (!found) throw notFound('Client', 'client_id', client)
}

// patchStatement writes only when a value differs.
function patchStatement(names) {
  const sets = names.map((name, i) => `${name} = $${7 + i}`)
  const differs = names.map((name, i) => `${name} IS DISTINCT FROM $${7 + i}`)
  return `UPDATE apps SET actor_id = $3, actor_name = $4, request_id = $5, updated_at = $6, version = version + 1,
    ${sets.join(', ')} WHERE client_id = $1 AND id = $2 AND (${differs.join(' OR ')}) RETURNING ${columns}`
}

export function appRoutes(server, { sql, catalog }) {
  const statements = new Map()
  const read = `SELECT ${columns} FROM apps WHERE client_id = $1 AND id = $2`
  const schema = { params: path('client_id', 'app_id') }

  async function find(client, id) {
    const [row] = await sql.unsafe(read, [client, id], { prepare: true })
    if (row) return row
    await missingClient(sql, client)
    throw notFound('App', 'app_id', id)
  }

  function answer(request, reply, row) {
    const entry = catalog.get(row.catalog_app_id)
    return reply.header('X-Request-Id', request.id).header('ETag', `"${row.version}.${entry.version}"`)
      .type('application/json').send(encodeApp(row, entry) + '\n')
  }

  server.get('/v2/clients/:client_id/apps/:app_id', { schema }, async (request, reply) => {
    const { client_id: client, app_id: id } = request.params
    return answer(request, reply, await find(client, id))
  })

  server.patch('/v2/clients/:client_id/apps/:app_id', { schema: { ...schema, body } }, async (request, reply) => {
    const { client_id: client, app_id: id } = request.params
    const names = fields.filter((name) => name in request.body)
    if (names.length === 0) return answer(request, reply, await find(client, id))
    const key = names.join()
    if (!statements.has(key)) statements.set(key, patchStatement(names))
    const { token } = request
    const [row] = await sql.unsafe(statements.get(key), [
      client, id, token.id, token.name, request.id, new Date(), ...names.map((name) => request.body[name]),
    ], { prepare: true })
    return answer(request, reply, row ?? await find(client, id)) // no row: nothing to change, or no such app
  })
}
