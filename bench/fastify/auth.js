// Tokens are cached for as long as the server caches them.
import { createHash } from 'node:crypto'

import { Refusal } from './errors.js'

const tokenTTL = 10_000 // ms

export function authentication(sql) {
  const known = new Map()
  return async (request) => {
    const header = request.headers.authorization
    const secret = header?.startsWith('Bearer ') ? header.slice(7) : ''
    let token = known.get(secret)
    if (!token || token.until < Date.now()) {
      const hash = createHash('sha256').update(secret).digest()
      const [row] = await sql`SELECT id, name FROM tokens WHERE hash = ${hash} AND all_clients AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > now()) AND scopes LIKE '%apps:read%' AND scopes LIKE '%apps:write%'`
      if (!row) throw new Refusal(401, 'unauthorized', 'Authentication required')
      token = { ...row, until: Date.now() + tokenTTL }
      known.set(secret, token)
    }
    request.token = token
  }
}
