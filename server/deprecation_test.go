package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// Every answer of a deprecated operation has Deprecation and Sunset, whatever its status; no other answer has them.
func TestDeprecatedOperations(t *testing.T) {
	t.Parallel()
	const (
		apps      = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/"
		anonymous = "/v2/clients/00000000-0000-0000-0000-000000000000/apps/"
		ids       = `{"app_ids": ["f1a2b3c4-d5e6-7890-abcd-ef1234567890"]}`
	)
	storetest.EachParallel(t, func(t *testing.T, url string) {
		address, token, reader := serve(t, url)
		for _, tt := range []struct {
			name, token, clients, body, header, value string
			status                                    int
		}{
			{name: "no token", clients: apps, body: ids, status: http.StatusUnauthorized},
			{name: "no scope", token: reader, clients: apps, body: ids, status: http.StatusForbidden},
			{name: "too large", token: token, clients: apps, body: strings.Repeat(" ", 1<<20+1), status: http.StatusRequestEntityTooLarge},
			{name: "no JSON", token: token, clients: apps, body: ids, header: "Content-Type", value: "text/plain", status: http.StatusUnsupportedMediaType},
			{name: "bad body", token: token, clients: apps, body: "{}", status: http.StatusBadRequest},
			{name: "no HTML", token: token, clients: apps, body: ids, header: "Accept", value: "text/html", status: http.StatusNotAcceptable},
			{name: "no client", token: token, clients: anonymous, body: ids, status: http.StatusNotFound},
			{name: "done", token: token, clients: apps, body: ids, status: http.StatusOK},
		} {
			for path, want := range map[string][2]string{
				"approvals/remove": {"@1795392000", "Tue, 23 Nov 2027 00:00:00 GMT"},
				"approval/reject":  {},
			} {
				header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + tt.token}}
				if tt.header != "" {
					header.Set(tt.header, tt.value)
				}
				a := send(t, http.MethodPost, address+tt.clients+path, header, tt.body)
				if a.status != tt.status {
					t.Errorf("%s, %s: status %d, want %d", tt.name, path, a.status, tt.status)
				}
				got := [2]string{a.header.Get("Deprecation"), a.header.Get("Sunset")}
				if got != want {
					t.Errorf("%s, %s: Deprecation and Sunset are %q, want %q", tt.name, path, got, want)
				}
			}
		}
		// The 405 for another method is not an answer of the operation.
		a := send(t, http.MethodPut, address+apps+"approvals/remove", nil, "")
		if a.status != http.StatusMethodNotAllowed || a.header["Deprecation"] != nil || a.header["Sunset"] != nil {
			t.Errorf("PUT answered %d %v", a.status, a.header)
		}
	})
}
