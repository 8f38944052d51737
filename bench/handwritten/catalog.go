package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// entry is a catalog app, encoded once.
type entry struct {
	json    []byte
	version int64
	nameKey string
}

// catalogColumns and catalogTables read the catalog, into memory or joined to an app. A category is its id and name.
const (
	catalogColumns = `c.id, c.canonical_name, c.description, c.display_colour, c.logo, c.type, v.id, v.name, v.url,
		ARRAY(SELECT g.id::text || g.name FROM catalog_app_categories x JOIN catalog_categories g ON g.id = x.category_id
			WHERE x.catalog_app_id = c.id ORDER BY g.name_key),
		c.created_at, c.updated_at, c.version, c.name_key`
	catalogTables = `catalog_apps c LEFT JOIN catalog_vendors v ON v.id = c.vendor_id`
)

// catalogRow is the scan target of catalogColumns.
type catalogRow struct {
	id                              [16]byte
	name                            string
	description, colour, logo, kind *string
	vendor                          *[16]byte
	vendorName, vendorURL           *string
	categories                      []string
	created, updated                time.Time
	version                         int64
	nameKey                         string
}

func (c *catalogRow) targets() []any {
	return []any{
		&c.id, &c.name, &c.description, &c.colour, &c.logo, &c.kind, &c.vendor, &c.vendorName, &c.vendorURL,
		&c.categories, &c.created, &c.updated, &c.version, &c.nameKey,
	}
}

func (s *server) loadCatalog(ctx context.Context) error {
	rows, err := s.db.Query(ctx, "SELECT "+catalogColumns+" FROM "+catalogTables)
	if err != nil {
		return err
	}
	s.catalog = map[id]*entry{}
	var row catalogRow
	_, err = pgx.ForEachRow(rows, row.targets(), func() error {
		s.catalog[row.id] = row.entry()
		return nil
	})
	return err
}

func (c *catalogRow) entry() *entry {
	return &entry{json: c.append(nil), version: c.version, nameKey: c.nameKey}
}

func (c *catalogRow) append(out []byte) []byte {
	out = append(id(c.id).append(append(out, `{"id":"`...)), `","canonical_name":`...)
	out = appendText(out, &c.name)
	out = appendText(append(out, `,"description":`...), c.description)
	out = appendText(append(out, `,"display_colour":`...), c.colour)
	out = appendText(append(out, `,"logo":`...), c.logo)
	out = appendText(append(out, `,"type":`...), c.kind)
	if c.vendor == nil {
		out = append(out, `,"vendor":null`...)
	} else {
		out = append(id(*c.vendor).append(append(out, `,"vendor":{"id":"`...)), `","name":`...)
		out = appendText(out, c.vendorName)
		out = append(appendText(append(out, `,"url":`...), c.vendorURL), '}')
	}
	out = append(out, `,"categories":[`...)
	for i, text := range c.categories {
		if i > 0 {
			out = append(out, ',')
		}
		name := text[uuid:]
		out = append(append(append(out, `{"id":"`...), text[:uuid]...), `","name":`...)
		out = append(appendText(out, &name), '}')
	}
	out = appendTime(append(out, `],"created_at":"`...), c.created)
	out = appendTime(append(out, `","updated_at":"`...), c.updated)
	return append(out, `"}`...)
}

// appendText uses the standard library for text that needs escaping.
func appendText(out []byte, text *string) []byte {
	if text == nil {
		return append(out, "null"...)
	}
	for _, c := range []byte(*text) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(*text) // never fails for a string
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), *text...), '"')
}

func appendTime(out []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z")
}

func appendInt(out []byte, n int64) []byte { return strconv.AppendInt(out, n, 10) }
