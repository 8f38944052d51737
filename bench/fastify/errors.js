// Errors with the contract's messages.
export class Refusal extends Error {
  constructor(statusCode, code, message, details) {
    super(message)
    this.statusCode = statusCode
    this.body = JSON.stringify({ error: { code, message, details } }) + '\n'
  }
}

export const notFound = (kind, parameter, id) => new Refusal(404, 'not_found', `${kind} not found`, { [parameter]: id })

const catalogs = 'Managed through the Catalog Apps domain'
const reasons = {
  id: 'Immutable identifier',
  created_at: 'System-managed timestamp',
  updated_at: 'System-managed timestamp',
}
for (const field of [
  'catalog_app', 'name', 'canonical_name', 'logo', 'vendor', 'categories', 'description', 'display_colour', 'type',
]) reasons[field] = catalogs

const types = { is_favorite: 'a boolean value', is_approved: 'a boolean value', license_count: 'an integer or null' }

// invalid converts the first finding of the validator to the contract's message.
function invalid({ keyword, params, instancePath }) {
  const field = params.additionalProperty ?? instancePath.slice(1)
  const bad = (message, details) => new Refusal(400, 'invalid_request', message, details)
  if (keyword === 'additionalProperties') {
    const reason = reasons[field]
    return reason
      ? bad(`Field '${field}' cannot be updated via this endpoint`, { field, reason })
      : bad(`Unknown field '${field}'`, { field })
  }
  if (keyword === 'type' && types[field]) return bad(`${field} must be ${types[field]}`)
  if (keyword === 'minimum' || keyword === 'maximum') return bad(`${field} must be between 0 and 2147483647`)
  return bad('Request body is not valid')
}

export function answerErrors(server) {
  server.setErrorHandler((error, request, reply) => {
    if (error.validation) error = invalid(error.validation[0])
    else if (!(error instanceof Refusal)) {
      error = error.statusCode === 400
        ? new Refusal(400, 'invalid_request', 'Request body is not valid JSON')
        : new Refusal(500, 'internal_error', 'Internal server error')
    }
    reply.code(error.statusCode).header('X-Request-Id', request.id)
    if (error.statusCode === 401) reply.header('WWW-Authenticate', 'Bearer')
    reply.type('application/json').send(error.body)
  })
  server.setNotFoundHandler(() => { throw new Refusal(404, 'not_found', 'No such path') })
}
