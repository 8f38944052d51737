package main

import (
	"net/http"
	"time"
)

// bulkStatement locks in the order of the ids, writes where a value differs, and returns the existing apps.
const bulkStatement = `
	WITH found AS (SELECT id FROM apps WHERE client_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE),
	written AS (UPDATE apps a SET is_favorite = $3, actor_id = $4, actor_name = $5, request_id = $6, updated_at = $7,
			version = a.version + 1
		FROM found WHERE a.client_id = $1 AND a.id = found.id AND a.is_favorite <> $3)
	SELECT id FROM found`

func (s *server) setFavorites(r *http.Request, by actor, client id, value bool, out []byte) ([]byte, *refusal) {
	body, refused := readBody(r)
	if refused != nil {
		return nil, refused
	}
	ids, refused := scanIDs(body)
	if refused != nil {
		return nil, refused
	}
	rows, err := s.db.Query(r.Context(), bulkStatement, [16]byte(client), ids, value,
		[16]byte(by.id), by.name, by.requestID, time.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		return nil, internal(err)
	}
	found := make(map[id]bool, len(ids))
	for rows.Next() {
		var one [16]byte
		if err := rows.Scan(&one); err != nil {
			rows.Close()
			return nil, internal(err)
		}
		found[one] = true
	}
	if err := rows.Err(); err != nil {
		return nil, internal(err)
	}
	if len(found) == 0 {
		if refused := s.findClient(r.Context(), client); refused != nil {
			return nil, refused
		}
	}
	return appendBulk(out, ids, found), nil
}

func appendBulk(out []byte, ids [][16]byte, found map[id]bool) []byte {
	failed := make([]id, 0, len(ids)-len(found))
	out = append(out, `{"succeeded":[`...)
	first := true
	for _, one := range ids {
		if !found[one] {
			failed = append(failed, one)
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(id(one).append(append(out, '"')), '"')
	}
	out = append(out, `],"failed":[`...)
	for i, one := range failed {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(one.append(append(out, `{"id":"`...)), `","code":"not_found","error":"App not found"}`...)
	}
	return append(out, "]}\n"...)
}

// scanIDs reads {"app_ids": [uuid, …]}. A repeated id counts once.
func scanIDs(body []byte) (ids [][16]byte, refused *refusal) {
	wrong := bad("app_ids must be a list of 1 to 1000 ids", `{"field":"app_ids"}`)
	s := &scanner{text: body}
	if !s.take('{') {
		return nil, malformed
	}
	if name, ok := s.name(); !ok || name != "app_ids" || !s.take(':') || !s.take('[') {
		return nil, wrong
	}
	seen := make(map[id]bool, 100)
	for first := true; !s.take(']'); first = false {
		if !first && !s.take(',') {
			return nil, malformed
		}
		text, _ := s.name()
		one, ok := parseID(text)
		if !ok {
			return nil, wrong
		}
		if !seen[one] {
			seen[one] = true
			ids = append(ids, one)
		}
	}
	if !s.take('}') || s.peek() != 0 {
		return nil, malformed
	}
	if len(ids) == 0 || len(ids) > 1000 {
		return nil, wrong
	}
	return ids, nil
}
