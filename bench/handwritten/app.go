package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

// app is a row of apps with its catalog entry.
type app struct {
	id               [16]byte
	catalogID        [16]byte
	favorite         bool
	approved         bool
	licenses         *int32
	version          int64
	created, updated time.Time

	entry *entry
	row   catalogRow // in joined mode
}

const appColumns = "a.id, a.catalog_app_id, a.is_favorite, a.is_approved, a.license_count, a.version, a.created_at, a.updated_at"

func (a *app) targets(joined bool) []any {
	targets := []any{
		&a.id, &a.catalogID, &a.favorite, &a.approved, &a.licenses, &a.version, &a.created, &a.updated,
	}
	if joined {
		targets = append(targets, a.row.targets()...)
	}
	return targets
}

// complete looks up the catalog entry.
func (s *server) complete(a *app) {
	if s.joined {
		a.entry = a.row.entry()
	} else {
		a.entry = s.catalog[a.catalogID]
	}
}

func (a *app) append(out []byte) []byte {
	out = append(id(a.id).append(append(out, `{"id":"`...)), `","catalog_app":`...)
	out = append(append(out, a.entry.json...), `,"is_favorite":`...)
	out = append(appendBool(out, a.favorite), `,"is_approved":`...)
	out = append(appendBool(out, a.approved), `,"license_count":`...)
	if a.licenses == nil {
		out = append(out, "null"...)
	} else {
		out = appendInt(out, int64(*a.licenses))
	}
	out = appendTime(append(out, `,"created_at":"`...), a.created)
	out = appendTime(append(out, `","updated_at":"`...), a.updated)
	return append(out, `"}`...)
}

func appendBool(out []byte, b bool) []byte {
	if b {
		return append(out, "true"...)
	}
	return append(out, "false"...)
}

// answerApp writes an app and its ETag.
func answerApp(header http.Header, a *app, out []byte) []byte {
	tag := append(appendInt(append(make([]byte, 0, 32), '"'), a.version), '.')
	header["Etag"] = []string{string(append(appendInt(tag, a.entry.version), '"'))}
	return append(a.append(out), '\n')
}

var (
	getMemory = "SELECT " + appColumns + " FROM apps a WHERE a.client_id = $1 AND a.id = $2"
	getJoined = "SELECT " + appColumns + ", " + catalogColumns + " FROM apps a JOIN " + catalogTables +
		" ON c.id = a.catalog_app_id WHERE a.client_id = $1 AND a.id = $2"
)

func (s *server) get(r *http.Request, header http.Header, k key, out []byte) ([]byte, *refusal) {
	var a app
	if refused := s.find(r.Context(), k, &a); refused != nil {
		return nil, refused
	}
	return answerApp(header, &a, out), nil
}

func (s *server) find(ctx context.Context, k key, a *app) *refusal {
	statement := getMemory
	if s.joined {
		statement = getJoined
	}
	err := s.db.QueryRow(ctx, statement, [16]byte(k.client), [16]byte(k.app)).Scan(a.targets(s.joined)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.missing(ctx, k)
	}
	if err != nil {
		return internal(err)
	}
	s.complete(a)
	return nil
}

// missing returns the error for a missing app or a missing client.
func (s *server) missing(ctx context.Context, k key) *refusal {
	if refused := s.findClient(ctx, k.client); refused != nil {
		return refused
	}
	return notFound("App", "app_id", k.app)
}

func (s *server) findClient(ctx context.Context, client id) *refusal {
	var found bool
	err := s.db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM clients WHERE id = $1)", [16]byte(client)).Scan(&found)
	if err != nil {
		return internal(err)
	}
	if !found {
		return notFound("Client", "client_id", client)
	}
	return nil
}
