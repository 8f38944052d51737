// Pages of a client's apps, with keyset pagination.
import { missingClient } from './apps.js'
import { columns, encodeApp, path } from './catalog.js'
import { Refusal } from './errors.js'

const querystring = {
  type: 'object', additionalProperties: false,
  properties: { page_size: { type: 'string', pattern: '^[0-9]{1,3}$' }, cursor: { type: 'string' } },
}

function position(cursor) {
  const [name, id, more] = Buffer.from(cursor, 'base64url').toString().split('\0')
  if (!id || more) throw new Refusal(400, 'invalid_request', 'cursor must be a next_cursor of the same list', { field: 'cursor' })
  return [name, id]
}

export function listRoutes(server, { sql, catalog }) {
  const statement = (behind) => `SELECT (SELECT count(*) FROM apps n WHERE n.client_id = $1)::int AS total, ${columns}
    FROM apps WHERE client_id = $1 ${behind} ORDER BY name_key, id LIMIT $2`
  const first = statement('')
  const later = statement('AND (name_key, id) > ($3, $4::uuid)')
  const schema = { params: path('client_id'), querystring }

  server.get('/v2/clients/:client_id/apps', { schema }, async (request, reply) => {
    const { client_id: client } = request.params
    const { page_size: text = '50', cursor } = request.query
    const size = Number(text)
    if (size < 1 || size > 500) {
      throw new Refusal(400, 'invalid_request', 'page_size must be between 1 and 500', { field: 'page_size' })
    }
    const rows = cursor === undefined
      ? await sql.unsafe(first, [client, size + 1], { prepare: true })
      : await sql.unsafe(later, [client, size + 1, ...position(cursor)], { prepare: true })
    if (rows.length === 0) await missingClient(sql, client)
    const page = rows.slice(0, size)
    const data = page.map((row) => encodeApp(row, catalog.get(row.catalog_app_id))).join(',')
    let next = 'null'
    if (rows.length > size) {
      const last = page.at(-1)
      const cursor = Buffer.from(`${catalog.get(last.catalog_app_id).nameKey}\0${last.id}`).toString('base64url')
      next = `"${cursor}"`
      reply.header('Link', `<${request.url.split('?')[0]}?cursor=${cursor}&page_size=${size}>; rel="next"`)
    }
    return reply.header('X-Request-Id', request.id).type('application/json')
      .send(`{"data":[${data}],"total_count":${rows[0]?.total ?? 0},"next_cursor":${next}}\n`)
  })
}
