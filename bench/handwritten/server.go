package main

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

type server struct {
	db      *pgxpool.Pool
	joined  bool          // read the catalog in SQL
	catalog map[id]*entry // used when joined is false
	tokens  sync.Map      // secret -> *token
	writes  *groupCommit  // nil: one statement a write
}

type id [16]byte

// key identifies an app.
type key struct{ client, app id }

// refusal is an answer that is not 200.
type refusal struct {
	status int
	body   string
}

func refuse(status int, code, message, details string) *refusal {
	body := `{"error":{"code":"` + code + `","message":"` + message + `"`
	if details != "" {
		body += `,"details":` + details
	}
	return &refusal{status, body + "}}\n"}
}

func internal(err error) *refusal {
	_ = err // the reference has no log
	return refuse(http.StatusInternalServerError, "internal_error", "Internal server error", "")
}

func notFound(kind, parameter string, which id) *refusal {
	return refuse(http.StatusNotFound, "not_found", kind+" not found", `{"`+parameter+`":"`+which.String()+`"}`)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// ServeHTTP routes by hand: /v2/clients/{client_id}/apps[/…].
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"] = jsonType
	requestID := r.Header.Get("X-Request-Id")
	if requestID == "" {
		var raw [16]byte
		_, _ = rand.Read(raw[:]) // never fails
		requestID = hex.EncodeToString(raw[:])
	}
	header["X-Request-Id"] = []string{requestID}
	by, refused := s.authenticate(r)
	if refused != nil {
		header["Www-Authenticate"] = []string{"Bearer"}
		answer(w, refused.status, []byte(refused.body))
		return
	}
	buffer := buffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool has only these
	body, refused := s.route(r, header, actor{by, requestID}, (*buffer)[:0])
	if refused != nil {
		answer(w, refused.status, []byte(refused.body))
	} else {
		answer(w, http.StatusOK, body)
		*buffer = body
	}
	buffers.Put(buffer)
}

var jsonType = []string{"application/json"}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only when the client has hung up
}

var noRoute = refuse(http.StatusNotFound, "not_found", "No such path", "")

const (
	prefix = "/v2/clients/"
	uuid   = 36
)

func (s *server) route(r *http.Request, header http.Header, by actor, out []byte) ([]byte, *refusal) {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok || len(path) < uuid {
		return nil, noRoute
	}
	client, ok := parseID(path[:uuid])
	rest, found := strings.CutPrefix(path[uuid:], "/apps")
	if !ok || !found {
		return nil, noRoute
	}
	switch {
	case rest == "" && r.Method == http.MethodGet:
		return s.list(r, header, client, out)
	case rest == "/favorites" && r.Method == http.MethodPost:
		return s.setFavorites(r, by, client, true, out)
	case rest == "/favorites/remove" && r.Method == http.MethodPost:
		return s.setFavorites(r, by, client, false, out)
	case len(rest) == 1+uuid && rest[0] == '/':
		app, ok := parseID(rest[1:])
		if !ok {
			return nil, noRoute
		}
		switch r.Method {
		case http.MethodGet:
			return s.get(r, header, key{client, app}, out)
		case http.MethodPatch:
			return s.patch(r, header, by, key{client, app}, out)
		}
	}
	return nil, noRoute
}

// readBody reads a JSON body of at most 1 MiB.
func readBody(r *http.Request) ([]byte, *refusal) {
	if r.Header.Get("Content-Type") != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "Unsupported media type", "")
	}
	if r.ContentLength < 0 || r.ContentLength > 1<<20 {
		return nil, refuse(http.StatusRequestEntityTooLarge, "payload_too_large", "Request body is too large", "")
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_request", "Request body is incomplete", "")
	}
	return body, nil
}

func parseID(text string) (out id, ok bool) {
	if len(text) != uuid || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return out, false
	}
	at := 0
	for i := 0; i < uuid; {
		if text[i] == '-' {
			i++
			continue
		}
		high, low := digit(text[i]), digit(text[i+1])
		if high > 15 || low > 15 {
			return out, false
		}
		out[at] = high<<4 | low
		at++
		i += 2
	}
	return out, true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

func (i id) append(out []byte) []byte {
	for n, part := range [][]byte{i[:4], i[4:6], i[6:8], i[8:10], i[10:]} {
		if n > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, part)
	}
	return out
}

func (i id) String() string { return string(i.append(nil)) }
