package server

import (
	"bytes"
	"encoding/hex"
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

// bulkBody is the response of a bulk operation, in the order of its updates.
type bulkBody struct {
	updates  []store.AppUpdate
	outcomes []error
}

// VisitAddFavoritesResponse implements gen.AddFavoritesResponseObject.
func (r bulkBody) VisitAddFavoritesResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitRemoveFavoritesResponse implements gen.RemoveFavoritesResponseObject.
func (r bulkBody) VisitRemoveFavoritesResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitApproveAppsResponse implements gen.ApproveAppsResponseObject.
func (r bulkBody) VisitApproveAppsResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitRejectAppsResponse implements gen.RejectAppsResponseObject.
func (r bulkBody) VisitRejectAppsResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitRemoveAppApprovalsResponse implements gen.RemoveAppApprovalsResponseObject.
func (r bulkBody) VisitRemoveAppApprovalsResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitUpdateAppsResponse implements gen.UpdateAppsResponseObject.
func (r bulkBody) VisitUpdateAppsResponse(w http.ResponseWriter) error { return r.write(w) }

func (r bulkBody) write(w http.ResponseWriter) error {
	return writeJSON(w, http.StatusOK, func(b []byte) []byte {
		b = append(b, `{"succeeded":[`...)
		for i, outcome := range r.outcomes {
			if outcome == nil {
				b = append(appendUUID(append(b, '"'), r.updates[i].ID), `",`...)
			}
		}
		b = append(bytes.TrimSuffix(b, comma), `],"failed":[`...)
		for i, outcome := range r.outcomes {
			if outcome != nil {
				f := bulkFailure(r.updates[i].ID, outcome)
				b = appendUUID(append(b, `{"id":"`...), f.ID)
				b = append(append(append(b, `","code":"`...), f.Code...), `","error":"`...)
				b = append(append(b, f.Error...), `"},`...) // neither has anything to escape
			}
		}
		return append(bytes.TrimSuffix(b, comma), `]}`...)
	})
}

var comma = []byte(",")

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
	from := 0
	for _, to := range [...]int{4, 6, 8, 10, 16} {
		if from > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[from:to])
		from = to
	}
	return b
}

// encodeCatalogApp returns the JSON of a catalog app. The store caches it with the entry.
func encodeCatalogApp(a *store.CatalogApp) []byte {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(toAPICatalogApp(a)); err != nil {
		return []byte("null") // strings, numbers and arrays of them can always be encoded
	}
	return bytes.Clone(bytes.TrimRight(body.Bytes(), "\n")) // without the rest of the buffer, since it is kept
}
