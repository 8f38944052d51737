// The catalog in memory, each entry encoded once.
export async function loadCatalog(sql) {
  const rows = await sql`
    SELECT c.*, to_json(v) AS vendor, ARRAY(SELECT json_build_object('id', g.id, 'name', g.name)
      FROM catalog_app_categories x JOIN catalog_categories g ON g.id = x.category_id
      WHERE x.catalog_app_id = c.id ORDER BY g.name_key) AS categories
    FROM catalog_apps c LEFT JOIN catalog_vendors v ON v.id = c.vendor_id`
  return new Map(rows.map((row) => [row.id, {
    nameKey: row.name_key,
    version: row.version,
    json: JSON.stringify({
      id: row.id,
      canonical_name: row.canonical_name,
      description: row.description,
      display_colour: row.display_colour,
      logo: row.logo,
      type: row.type,
      vendor: row.vendor && { id: row.vendor.id, name: row.vendor.name, url: row.vendor.url },
      categories: row.categories,
      created_at: row.created_at,
      updated_at: row.updated_at,
    }),
  }]))
}

// encodeApp encodes an app around its encoded catalog entry.
export function encodeApp(row, entry) {
  return `{"id":"${row.id}","catalog_app":${entry.json},"is_favorite":${row.is_favorite},"is_approved":${row.is_approved},` +
    `"license_count":${row.license_count},"created_at":"${row.created_at.toISOString()}",` +
    `"updated_at":"${row.updated_at.toISOString()}"}`
}

export const columns = 'id, catalog_app_id, is_favorite, is_approved, license_count, version, created_at, updated_at'

const uuid = { type: 'string', pattern: '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' }

export const path = (...names) => ({
  type: 'object', required: names, properties: Object.fromEntries(names.map((name) => [name, uuid])),
})
export { uuid }
