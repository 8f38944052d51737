package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
)

// The most frequent response bodies are encoded by hand: an app has a few fields of its own, and its catalog entry is encoded
// once. The bytes are the same as encoding/json produces for the generated types; a test compares them.

// appBody is a response with one app.
type appBody struct {
	app      store.App
	status   int
	location string // of a new app
}

// VisitGetAppResponse implements gen.GetAppResponseObject.
func (r appBody) VisitGetAppResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitUpdateAppResponse implements gen.UpdateAppResponseObject.
func (r appBody) VisitUpdateAppResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitAddAppResponse implements gen.AddAppResponseObject.
func (r appBody) VisitAddAppResponse(w http.ResponseWriter) error { return r.write(w) }

func (r appBody) write(w http.ResponseWriter) error {
	header := w.Header()
	var buffer [48]byte
	header["Etag"] = []string{string(append(r.app.AppendETag(append(buffer[:0], '"')), '"'))}
	if r.location != "" {
		header.Set("Location", r.location)
	}
	return writeJSON(w, r.status, func(b []byte) []byte { return appendApp(b, r.app) })
}

// appListBody is a response with a page of apps.
type appListBody struct {
	list   store.List[store.App]
	cursor *string
	link   *string
}

// VisitListAppsResponse implements gen.ListAppsResponseObject.
func (r appListBody) VisitListAppsResponse(w http.ResponseWriter) error {
	if r.link != nil {
		w.Header().Set("Link", *r.link)
	}
	return writeJSON(w, http.StatusOK, func(b []byte) []byte {
		b = append(b, `{"data":[`...)
		for i, app := range r.list.Rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendApp(b, app)
		}
		b = append(b, `],"total_count":`...)
		b = strconv.AppendInt(b, r.list.Total, 10)
		b = append(b, `,"next_cursor":`...)
		if r.cursor == nil {
			b = append(b, "null"...)
		} else {
			b = append(append(append(b, '"'), *r.cursor...), '"') // base64: nothing to escape
		}
		return append(b, '}')
	})
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func writeJSON(w http.ResponseWriter, status int, body func([]byte) []byte) error {
	buffer, _ := buffers.Get().(*[]byte)
	*buffer = append(body((*buffer)[:0]), '\n')
	w.Header()["Content-Type"] = contentTypeJSON
	w.WriteHeader(status)
	_, err := w.Write(*buffer)
	buffers.Put(buffer)
	return err
}

var contentTypeJSON = []string{"application/json"}

func appendApp(b []byte, a store.App) []byte {
	b = append(b, `{"id":"`...)
	b = appendUUID(b, a.ID)
	b = append(b, `","catalog_app":`...)
	b = append(b, a.Catalog.Encoded(encodeCatalogApp)...)
	b = appendAppFields(b, &a)
	b = append(b, `,"created_at":"`...)
	b = a.CreatedAt.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","updated_at":"`...)
	b = a.UpdatedAt.UTC().AppendFormat(b, timeLayout)
	return append(b, `"}`...)
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	text, _ := id.MarshalText() // never fails
	return append(b, text...)
}

// encodeCatalogApp returns the JSON of a catalog app. The store caches it with the entry.
func encodeCatalogApp(a *store.CatalogApp) []byte {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(toAPICatalogApp(a)); err != nil {
		return []byte("null") // strings, numbers and arrays of them can always be encoded
	}
	return bytes.TrimRight(body.Bytes(), "\n")
}
