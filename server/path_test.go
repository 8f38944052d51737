package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	clientID = "aa7cf840-9ca9-46a3-9778-9015d6580d50"
	appID    = "f1a2b3c4-d5e6-7890-abcd-ef1234567890"
	nilID    = "00000000-0000-0000-0000-000000000000"
	maxID    = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

func pathOf(client, app string) string { return "/v2/clients/" + client + "/apps/" + app }

// Ids are 8-4-4-4-12 hexadecimal digits in either letter case, and answers have them in lower case.
func TestIDs(t *testing.T) {
	escaped := func(id string) string {
		var b strings.Builder
		for _, c := range []byte(id) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		return b.String()
	}
	var all []scenario
	add := func(name, target string, status int, want string) {
		for _, method := range []string{http.MethodGet, http.MethodPatch} {
			all = append(all, scenario{name: method + " " + name, method: method, target: target, body: "{}", status: status, want: want})
		}
	}
	for _, bad := range []string{
		"1", "x", "null", "{" + appID + "}", "%7B" + appID + "%7D", "urn:uuid:" + appID, "f1a2b3c4d5e67890abcdef1234567890",
		appID[:35], appID + "0", appID + "%20", "%20" + appID, appID + "%00", appID + "%0A", appID + "%2F", appID + "%2Fx",
		"%2F" + appID, appID + "%25", "g" + appID[1:], "f1a2b3c4-d5e6-7890-abcde-f1234567890", "f1a2b3c4_d5e6_7890_abcd_ef1234567890",
		"f1a2b3c4-d5e67890abcd-ef1234-567890", "%EF%BC%91" + appID[1:], "%ff" + appID[1:], "..", "." + appID, "*", ":app_id",
		"%2566" + appID[1:], "favourites", appID + ";x=1", appID + "," + appID, appID + "%3Fx=1",
	} {
		add("app "+bad, pathOf(clientID, bad), 400, invalidField("app_id", "app_id must be a UUID"))
		add("client "+bad, pathOf(bad, appID), 400, invalidField("client_id", "client_id must be a UUID"))
	}
	add("both malformed", pathOf("1", "2"), 400, invalidField("client_id", "client_id must be a UUID"))
	for _, id := range []string{nilID, maxID, "f1a2b3c4-d5e6-7890-abcd-ef1234567891", clientID} {
		add("unknown app "+id, pathOf(clientID, id), 404, noApp(id))
		add("unknown app in upper case "+id, pathOf(clientID, strings.ToUpper(id)), 404, noApp(id))
	}
	for _, id := range []string{nilID, maxID, "aa7cf840-9ca9-46a3-9778-9015d6580d51", appID} {
		add("unknown client "+id, pathOf(id, appID), 404, noClient(id))
		add("unknown client in upper case "+id, pathOf(strings.ToUpper(id), appID), 404, noClient(id))
	}
	add("neither", pathOf(nilID, maxID), 404, noClient(nilID))
	add("another client's app", pathOf(clientID, "b2a2b3c4-d5e6-7890-abcd-ef1234567890"), 404, noApp("b2a2b3c4-d5e6-7890-abcd-ef1234567890"))
	add("another client's app, the other way", pathOf("bb7cf840-9ca9-46a3-9778-9015d6580d50", appID), 404, noApp(appID))
	for _, client := range []string{clientID, strings.ToUpper(clientID), escaped(clientID), "%61" + clientID[1:], strings.ReplaceAll(clientID, "-", "%2d")} {
		for _, app := range []string{appID, strings.ToUpper(appID), "F" + appID[1:], escaped(appID), "%66" + appID[1:], appID[:35] + "%30"} {
			add("client "+client+" app "+app, pathOf(client, app), 200, asSeeded)
		}
	}
	scenarios(t, append(all,
		scenario{
			name: "a limited token sees another client's app under its own no more than one that never was", as: "client",
			method: http.MethodGet, target: pathOf(clientID, "b2a2b3c4-d5e6-7890-abcd-ef1234567890"),
			status: 404, want: noApp("b2a2b3c4-d5e6-7890-abcd-ef1234567890"),
		},
		scenario{
			name: "an upper-case client of a limited token", as: "client", target: pathOf(strings.ToUpper(clientID), strings.ToUpper(appID)),
			body: `{"is_approved":true}`, status: 200, want: app(false, true, "null", now), writes: []string{"is_approved: false -> true"},
		},
		scenario{
			name: "an escaped client of a limited token", as: "client", target: pathOf(escaped(clientID), escaped(appID)),
			body: `{"is_approved":true}`, status: 200, want: app(false, true, "null", now), writes: []string{"is_approved: false -> true"},
		},
	))
}

// Query parameters that the contract does not have get 400.
func TestQuery(t *testing.T) {
	unknown := func(name string) string { return invalidField(name, "Unknown query parameter '"+name+"'") }
	var all []scenario
	for _, q := range []struct {
		query  string
		status int
		want   string
	}{
		{"?x=1", 400, unknown("x")},
		{"?x", 400, unknown("x")},
		{"?x=", 400, unknown("x")},
		{"?=x", 400, unknown("")},
		{"?x=1&x=2", 400, unknown("x")},
		{"?client_id=" + clientID, 400, unknown("client_id")},
		{"?app_id=" + appID, 400, unknown("app_id")},
		{"?If-Match=x", 400, unknown("If-Match")},
		{"?is_favorite=true", 400, unknown("is_favorite")},
		{"?a%26b=1", 400, unknown("a&b")},
		{"?%E2%82%AC=1", 400, unknown("€")},
		{"?" + strings.Repeat("x", 65), 400, unknown(strings.Repeat("x", 64) + "…")},
		{"?%zz", 400, invalid("The query string is malformed")},
		{"?x=%zz", 400, invalid("The query string is malformed")},
		{"?x=%", 400, invalid("The query string is malformed")},
		{"?a;b", 400, invalid("The query string is malformed")},
		{"?", 200, asSeeded},
		{"?&", 200, asSeeded},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPatch} {
			all = append(all, scenario{
				name: method + " " + q.query, method: method, target: appPath + q.query, body: "{}", status: q.status, want: q.want,
			})
		}
	}
	scenarios(t, all)
}
