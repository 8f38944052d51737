package server_test

import (
	"net/http"
	"testing"
)

// Responses are JSON. A request whose Accept header excludes JSON gets 406 and writes nothing.
func TestAccept(t *testing.T) {
	var all []scenario
	add := func(status int, header ...string) {
		get := scenario{
			name: "GET " + header[0], method: http.MethodGet, header: header,
			status: status, want: notJSON,
		}
		patch := scenario{name: "PATCH " + header[0], header: header, body: `{"is_favorite":true}`, status: status, want: notJSON}
		if status == http.StatusOK {
			get.want, patch.want = asSeeded, app(true, false, "null", now)
			patch.writes = []string{"is_favorite: false -> true"}
		}
		all = append(all, get, patch)
	}
	for _, accept := range []string{
		"text/html", "application/xml, text/xml", "image/*", "application/merge-patch+json", "application/hal+json",
		"application/json;q=0", "application/json; q=0.0", "application/json;q=0.000", "*/*;q=0", "application/*;q=0",
		"application/json;q=0, */*", "*/*, application/json;q=0", "application/*;q=0, */*;q=1", "text/html, application/json;q=0",
	} {
		add(406, "Accept: "+accept)
	}
	add(406, "Accept: text/html", "Accept: image/png")
	for _, accept := range []string{
		" ", "*/*", "application/*", "application/json", "Application/JSON", "application/json;q=0.001", "application/json; charset=utf-8",
		"text/html, */*;q=0.1", "text/html;q=0.9 , application/json;q=0.1", "application/json, */*;q=0", "application/json, application/*;q=0",
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "application/json,",
	} {
		add(200, "Accept: "+accept)
	}
	add(200, "Accept: text/html", "Accept: application/json")
	scenarios(t, all)
}
