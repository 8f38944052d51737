// Sets the favorites of many apps at once.
import { missingClient } from './apps.js'
import { path, uuid } from './catalog.js'

const body = {
  type: 'object', additionalProperties: false, required: ['app_ids'],
  properties: { app_ids: { type: 'array', minItems: 1, maxItems: 1000, items: uuid } },
}

// Locks in the order of the ids, writes where a value differs, and returns the existing apps.
const statement = `
  WITH found AS (SELECT id FROM apps WHERE client_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE),
  written AS (UPDATE apps a SET is_favorite = $3, actor_id = $4, actor_name = $5, request_id = $6, updated_at = $7,
      version = a.version + 1
    FROM found WHERE a.client_id = $1 AND a.id = found.id AND a.is_favorite <> $3)
  SELECT id FROM found`

export function bulkRoutes(server, { sql }) {
  const set = (value) => async (request, reply) => {
    const { client_id: client } = request.params
    const { token } = request
    const ids = [...new Set(request.body.app_ids.map((id) => id.toLowerCase()))]
    const rows = await sql.unsafe(statement, [client, ids, value, token.id, token.name, request.id, new Date()], { prepare: true })
    if (rows.length === 0) await missingClient(sql, client)
    const found = new Set(rows.map((row) => row.id))
    const failed = ids.filter((id) => !found.has(id)).map((id) => ({ id, code: 'not_found', error: 'App not found' }))
    return reply.header('X-Request-Id', request.id).type('application/json')
      .send(JSON.stringify({ succeeded: ids.filter((id) => found.has(id)), failed }) + '\n')
  }
  const schema = { params: path('client_id'), body }
  server.post('/v2/clients/:client_id/apps/favorites', { schema }, set(true))
  server.post('/v2/clients/:client_id/apps/favorites/remove', { schema }, set(false))
}
