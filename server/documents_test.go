package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/clientapps/clientapps"
	"github.com/clientapps/clientapps/store/storetest"
)

// The contract needs no token in any of its forms, and a current copy gets 304.
func TestDocuments(t *testing.T) {
	t.Parallel()
	address, _, _ := serve(t, storetest.SQLite(t))
	tag := regexp.MustCompile(`^"[!#-~]+"$`)
	tags := map[string]bool{}
	for path, want := range map[string]struct{ file, mediaType string }{
		"/openapi.yaml":     {"openapi.yaml", "application/yaml"},
		"/openapi.json":     {"gen/openapi.json", "application/json"},
		"/openapi-3.1.json": {"gen/openapi-3.1.json", "application/json"},
	} {
		text, err := clientapps.Contract.ReadFile(want.file)
		if err != nil {
			t.Fatal(err)
		}
		a := send(t, http.MethodGet, address+path, nil, "")
		etag := a.header.Get("ETag")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != want.mediaType || a.body != string(text) {
			t.Errorf("GET %s: %d %v, %d bytes", path, a.status, a.header, len(a.body))
		}
		if !tag.MatchString(etag) || tags[etag] {
			t.Errorf("GET %s: ETag %s", path, etag)
		}
		tags[etag] = true

		a = send(t, http.MethodHead, address+path, nil, "")
		if a.status != http.StatusOK || a.header.Get("ETag") != etag || a.body != "" {
			t.Errorf("HEAD %s: %d %v %q", path, a.status, a.header, a.body)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a = send(t, method, address+path, http.Header{"If-None-Match": {etag}}, "")
			if a.status != http.StatusNotModified || a.header.Get("ETag") != etag || a.body != "" {
				t.Errorf("%s %s with its tag: %d %v %q", method, path, a.status, a.header, a.body)
			}
			a = send(t, method, address+path, http.Header{"If-None-Match": {`"another"`}}, "")
			if a.status != http.StatusOK {
				t.Errorf("%s %s with another tag: %d", method, path, a.status)
			}
		}
		for method, status := range map[string]int{
			http.MethodPost: http.StatusMethodNotAllowed, http.MethodOptions: http.StatusNoContent,
		} {
			a = send(t, method, address+path, nil, "")
			if a.status != status || !slices.Equal(a.header["Allow"], []string{"GET, HEAD, OPTIONS"}) {
				t.Errorf("%s %s: %d %v", method, path, a.status, a.header)
			}
		}
	}
}
