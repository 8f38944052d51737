package main

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// listStatements read the first page or the page after a cursor, with the count of all rows.
var listStatements = func() (out [2][2]string) {
	for joined, from := range []string{
		" FROM apps a", ", " + catalogColumns + " FROM apps a JOIN " + catalogTables + " ON c.id = a.catalog_app_id",
	} {
		for afterCursor, where := range []string{"", " AND (a.name_key, a.id) > ($3, $4::uuid)"} {
			out[joined][afterCursor] = "SELECT (SELECT count(*) FROM apps n WHERE n.client_id = $1), " + appColumns + from +
				" WHERE a.client_id = $1" + where + " ORDER BY a.name_key, a.id LIMIT $2"
		}
	}
	return out
}()

// list supports page_size and cursor.
func (s *server) list(r *http.Request, header http.Header, client id, out []byte) ([]byte, *refusal) {
	query := r.URL.Query()
	size, args := 50, []any{[16]byte(client), nil}
	if text := query.Get("page_size"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > 500 {
			return nil, bad("page_size must be between 1 and 500", `{"field":"page_size"}`)
		}
	}
	args[1] = size + 1 // one more row means that there is a next page
	joined, afterCursor := 0, 0
	if s.joined {
		joined = 1
	}
	if cursor := query.Get("cursor"); cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		name, last, ok := strings.Cut(string(raw), "\x00")
		if err != nil || !ok {
			return nil, bad("cursor must be a next_cursor of the same list", `{"field":"cursor"}`)
		}
		args, afterCursor = append(args, name, last), 1
	}
	rows, err := s.db.Query(r.Context(), listStatements[joined][afterCursor], args...)
	if err != nil {
		return nil, internal(err)
	}
	return s.appendPage(r, header, client, rows, size, out)
}

func (s *server) appendPage(r *http.Request, header http.Header, client id, rows pgx.Rows, size int, out []byte) ([]byte, *refusal) {
	defer rows.Close()
	var total int64
	var last app
	n := 0
	out = append(out, `{"data":[`...)
	for ; n < size && rows.Next(); n++ {
		var a app
		if err := rows.Scan(append([]any{&total}, a.targets(s.joined)...)...); err != nil {
			return nil, internal(err)
		}
		s.complete(&a)
		if n > 0 {
			out = append(out, ',')
		}
		out = a.append(out)
		last = a
	}
	more := n == size && rows.Next()
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, internal(err)
	}
	if n == 0 {
		if refused := s.findClient(r.Context(), client); refused != nil {
			return nil, refused
		}
	}
	out = append(appendInt(append(out, `],"total_count":`...), total), `,"next_cursor":`...)
	if !more {
		return append(out, "null}\n"...), nil
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte(last.entry.nameKey + "\x00" + id(last.id).String()))
	link := url.Values{"cursor": {cursor}, "page_size": {strconv.Itoa(size)}}
	header["Link"] = []string{"<" + r.URL.Path + "?" + link.Encode() + `>; rel="next"`}
	return append(append(append(out, '"'), cursor...), "\"}\n"...), nil
}
