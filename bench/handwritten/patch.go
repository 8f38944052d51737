package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// patchStatements has the statements by the fields of the patch, with and without the joined catalog.
var patchStatements = func() (out [2][8]string) {
	for joined := range 2 {
		for set := range fields(8) {
			out[joined][set] = patchStatement(set, joined == 1)
		}
	}
	return out
}()

// patchStatement writes only when a value differs.
func patchStatement(set fields, joined bool) string {
	var assign, differs []string
	for i, column := range []string{"is_favorite", "is_approved", "license_count"} {
		if set&(1<<i) != 0 {
			value := "$" + strconv.Itoa(7+len(assign))
			assign = append(assign, column+" = "+value)
			differs = append(differs, "a."+column+" IS DISTINCT FROM "+value)
		}
	}
	update := "UPDATE apps a SET actor_id = $3, actor_name = $4, request_id = $5, updated_at = $6, version = a.version + 1, " +
		strings.Join(assign, ", ") + " WHERE a.client_id = $1 AND a.id = $2 AND (" + strings.Join(differs, " OR ") +
		") RETURNING " + appColumns
	if joined {
		return "WITH a AS (" + update + ") SELECT " + appColumns + ", " + catalogColumns + " FROM a JOIN " + catalogTables +
			" ON c.id = a.catalog_app_id"
	}
	return update
}

func (s *server) patch(r *http.Request, header http.Header, by actor, k key, out []byte) ([]byte, *refusal) {
	body, refused := readBody(r)
	if refused != nil {
		return nil, refused
	}
	c, refused := scanPatch(body)
	if refused != nil {
		return nil, refused
	}
	var a app
	switch {
	case c.set == 0:
		refused = s.find(r.Context(), k, &a)
	case s.writes != nil:
		refused = s.patchTogether(r.Context(), by, k, c, &a)
	default:
		refused = s.patchAlone(r.Context(), by, k, c, &a)
	}
	if refused != nil {
		return nil, refused
	}
	return answerApp(header, &a, out), nil
}

func (s *server) patchAlone(ctx context.Context, by actor, k key, c change, a *app) *refusal {
	joined := 0
	if s.joined {
		joined = 1
	}
	args := append(make([]any, 0, 9), [16]byte(k.client), [16]byte(k.app),
		[16]byte(by.id), by.name, by.requestID, time.Now().UTC().Truncate(time.Millisecond))
	if c.set&setFavorite != 0 {
		args = append(args, c.favorite)
	}
	if c.set&setApproved != 0 {
		args = append(args, c.approved)
	}
	if c.set&setLicenses != 0 {
		args = append(args, c.licenses)
	}
	err := s.db.QueryRow(ctx, patchStatements[joined][c.set], args...).Scan(a.targets(s.joined)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.find(ctx, k, a) // nothing to change, or no such app
	}
	if err != nil {
		return internal(err)
	}
	s.complete(a)
	return nil
}

func (s *server) patchTogether(ctx context.Context, by actor, k key, c change, a *app) *refusal {
	found, err := s.writes.do(&write{key: k, change: c, by: by, app: a})
	if err != nil {
		return internal(err)
	}
	if !found {
		return s.missing(ctx, k)
	}
	s.complete(a)
	return nil
}
