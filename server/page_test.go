package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestPage tests the reference page of Update App, every sentence and example in the order of the page. Each subtest starts with
// the page's app as it was before the page's requests.
func TestPage(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		p := &page{fixture: newFixture(t, s)}
		p.introduction(t)
		p.parameters(t)
		p.requestBody(t)
		p.notUpdatable(t)
		p.exampleRequests(t)
		p.exampleResponse(t)
		p.errorResponses(t)
		p.exampleErrors(t)
		p.notes(t)
	})
}

type page struct{ *fixture }

// sentence runs the subtest of one sentence.
func (p *page) sentence(t *testing.T, sentence string, test func(t *testing.T)) {
	t.Helper()
	t.Run(sentence, func(t *testing.T) {
		p.reset(t)
		test(t)
	})
}

// patch sends a patch of the page's app and wants 200 and this app, in the response and from GET.
func (p *page) patch(t *testing.T, body, want string) {
	t.Helper()
	for _, r := range []*servertest.Response{p.Patch(t, appPath, body), p.Get(t, appPath)} {
		if r.Status != http.StatusOK || r.Body != want+"\n" {
			t.Errorf("%s: %d\n%s\nwant\n%s", body, r.Status, r.Body, want)
		}
	}
}

// fails sends a request that must fail with this error and write nothing.
func (p *page) fails(t *testing.T, as, target, body string, status int, want string) {
	t.Helper()
	before := p.snapshot(t)
	if r := p.clients[as].Patch(t, target, body); r.Status != status || r.Body != want+"\n" {
		t.Errorf("%s %s: %d\n%s\nwant %d\n%s", target, body, r.Status, r.Body, status, want)
	}
	for _, line := range before.diff(p.snapshot(t)) {
		t.Errorf("%s %s wrote: %s", target, body, line)
	}
}

// documented checks that the contract has a sentence. Titles and other operations cannot be tested in another way.
func (p *page) documented(t *testing.T, sentence string) {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	op := doc.Paths.Find("/clients/{client_id}/apps/{app_id}").Patch
	if text := op.Summary + " " + strings.Join(strings.Fields(op.Description), " "); !strings.Contains(text, sentence) {
		t.Errorf("the contract does not say %q", sentence)
	}
}

func (p *page) introduction(t *testing.T) {
	p.sentence(t, "Update App", func(t *testing.T) { p.documented(t, "Update App") })
	p.sentence(t, "PATCH /clients/{client_id}/apps/{app_id}", func(t *testing.T) { p.patch(t, `{}`, asSeeded) })
	p.sentence(t, "Partial update of client-specific fields on an app.", func(t *testing.T) {
		other := p.Get(t, otherPath).Body
		p.patch(t, `{"is_favorite":true}`, app(true, false, "null", now))
		if got := p.Get(t, otherPath).Body; got != other {
			t.Errorf("the other client's app was %s, is %s", other, got)
		}
	})
	p.sentence(t, "Only send the fields you want to change.", func(t *testing.T) {
		p.patch(t, `{"license_count":7}`, app(false, false, "7", now))
	})
	p.sentence(t, "Catalog data (name, logo, vendor, categories) is managed through the catalog and cannot be updated here.", func(t *testing.T) {
		for _, field := range []string{"name", "logo", "vendor", "categories"} {
			p.fails(t, "everything", appPath, `{"`+field+`":"x"}`, 400, readOnly(field, "Managed through the Catalog Apps domain"))
		}
	})
	p.sentence(t, "For bulk approval operations, use Approve Apps / Reject Apps.", func(t *testing.T) {
		p.documented(t, "For bulk approval operations, use Approve Apps / Reject Apps.")
	})
}

func (p *page) parameters(t *testing.T) {
	p.sentence(t, "client_id string (uuid) Unique identifier for the client organization", func(t *testing.T) {
		p.fails(t, "everything", pathOf("contoso", appID), `{"is_favorite":true}`, 400, invalidField("client_id", "client_id must be a UUID"))
		p.describesParameter(t, "client_id", "Unique identifier for the client organization")
	})
	p.sentence(t, "app_id string (uuid) Unique identifier for the app", func(t *testing.T) {
		p.fails(t, "everything", pathOf(clientID, "slack"), `{"is_favorite":true}`, 400, invalidField("app_id", "app_id must be a UUID"))
		p.describesParameter(t, "app_id", "Unique identifier for the app")
	})
}

func (p *page) describesParameter(t *testing.T, name, description string) {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Find("/clients/{client_id}/apps/{app_id}")
	got := item.Parameters.GetByInAndName(openapi3.ParameterInPath, name)
	if got == nil || got.Description != description || !got.Schema.Value.Type.Is("string") || got.Schema.Value.Format != "uuid" {
		t.Errorf("the contract has %+v", got)
	}
}

func (p *page) requestBody(t *testing.T) {
	p.sentence(t, "All fields are optional. Only include fields you want to change.", func(t *testing.T) {
		p.patch(t, `{}`, asSeeded)
		p.patch(t, `{"is_approved":true}`, app(false, true, "null", now))
		p.patch(t, `{"is_favorite":true,"license_count":3}`, app(true, true, "3", now))
	})
	p.sentence(t, "is_favorite boolean Mark app as favorite (true) or unfavorite (false)", func(t *testing.T) {
		p.patch(t, `{"is_favorite":true}`, app(true, false, "null", now))
		p.patch(t, `{"is_favorite":false}`, app(false, false, "null", now))
		p.fails(t, "everything", appPath, `{"is_favorite":null}`, 400, invalid("is_favorite must be a boolean value"))
	})
	p.sentence(t, "is_approved boolean Mark app as approved (true) or unapproved (false)", func(t *testing.T) {
		p.patch(t, `{"is_approved":true}`, app(false, true, "null", now))
		p.patch(t, `{"is_approved":false}`, app(false, false, "null", now))
		p.fails(t, "everything", appPath, `{"is_approved":null}`, 400, invalid("is_approved must be a boolean value"))
	})
	p.sentence(t, "license_count integer | null Update tracked license count. Set to null to clear.", func(t *testing.T) {
		p.patch(t, `{"license_count":120}`, app(false, false, "120", now))
		p.patch(t, `{"license_count":0}`, app(false, false, "0", now))
		p.patch(t, `{"license_count":null}`, app(false, false, "null", now))
		p.fails(t, "everything", appPath, `{"license_count":"120"}`, 400, invalid("license_count must be an integer or null"))
	})
}

func (p *page) notUpdatable(t *testing.T) {
	p.sentence(t, "These fields are managed by the system or the catalog", func(t *testing.T) {
		const refused = `{"field":"%s","pointer":"/%[1]s","message":"Field '%[1]s' cannot be updated via this endpoint"}`
		p.fails(t, "everything", appPath, `{"id":"x","catalog_app":{},"created_at":null}`, 400,
			`{"error":{"code":"invalid_request","message":"Field 'id' cannot be updated via this endpoint",`+
				`"details":{"field":"id","reason":"Immutable identifier","errors":[`+fmt.Sprintf(refused, "id")+`,`+
				fmt.Sprintf(refused, "catalog_app")+`,`+fmt.Sprintf(refused, "created_at")+`]}}}`)
	})
	for _, field := range []struct{ name, reason string }{
		{"id", "Immutable identifier"},
		{"catalog_app", "Managed through the Catalog Apps domain"},
		{"created_at", "System-managed timestamp"},
	} {
		p.sentence(t, field.name+" — "+field.reason, func(t *testing.T) {
			var whole map[string]json.RawMessage
			if err := json.Unmarshal([]byte(asSeeded), &whole); err != nil {
				t.Fatal(err)
			}
			for _, value := range []string{"null", `"x"`, string(whole[field.name])} {
				p.fails(t, "everything", appPath, `{"`+field.name+`":`+value+`}`, 400, readOnly(field.name, field.reason))
			}
		})
	}
	p.sentence(t, "Returns the updated App object with status 200 OK.", func(t *testing.T) {
		p.patch(t, `{"is_approved":true,"license_count":1}`, app(false, true, "1", now))
	})
}

// send sends the request of one of the page's commands with the host and the token of this server.
func (p *page) send(t *testing.T, command string) *servertest.Response {
	t.Helper()
	c := parseCurl(t, command)
	target, ok := strings.CutPrefix(c.url, "https://api.example.com")
	if !ok {
		t.Fatalf("the page's host is api.example.com, not that of %s", c.url)
	}
	request := servertest.Request{Method: c.method, Target: target, Body: c.data}
	for _, line := range c.header {
		if !strings.Contains(line, "YOUR_API_TOKEN") && strings.HasPrefix(line, "Authorization") {
			t.Fatalf("the page's token is YOUR_API_TOKEN, not that of %s", line)
		}
		request.Header = append(request.Header, strings.Replace(line, "YOUR_API_TOKEN", p.clients["client"].Token, 1))
	}
	return (&servertest.Client{URL: p.URL}).Send(t, request)
}

func (p *page) exampleRequests(t *testing.T) {
	for _, example := range []struct{ title, command, want string }{
		{"Toggle favorite status", toggleFavorite, app(true, true, "7", now)},
		{"Set license count", setLicenseCount, app(false, true, "50", now)},
		{"Clear license count", clearLicenseCount, app(false, true, "null", now)},
		{"Approve an app", approve, app(false, true, "7", now)},
		{"Update multiple fields", updateMultiple, app(true, true, "50", now)},
	} {
		p.sentence(t, example.title, func(t *testing.T) {
			given := `{"is_favorite":false,"is_approved":true,"license_count":7}`
			if example.command == approve {
				given = `{"is_favorite":false,"is_approved":false,"license_count":7}`
			}
			if r := p.Patch(t, appPath, given); r.Status != http.StatusOK {
				t.Fatal(r.Body)
			}
			if r := p.send(t, example.command); r.Status != http.StatusOK || r.Body != example.want+"\n" {
				t.Errorf("%d\n%s\nwant\n%s", r.Status, r.Body, example.want)
			}
		})
	}
}

func (p *page) exampleResponse(t *testing.T) {
	p.sentence(t, "Example Response", func(t *testing.T) {
		if r := p.send(t, updateMultiple); r.Status != http.StatusOK || r.Body != compact(t, exampleApp)+"\n" {
			t.Errorf("%d\n%s\nwant\n%s", r.Status, r.Body, compact(t, exampleApp))
		}
	})
}

func (p *page) errorResponses(t *testing.T) {
	p.sentence(t, "400 Invalid request (e.g. wrong field type, attempting to update read-only field)", func(t *testing.T) {
		p.fails(t, "client", appPath, `{"is_approved":"yes"}`, 400, invalid("is_approved must be a boolean value"))
		p.fails(t, "client", appPath, `{"id":"x"}`, 400, readOnly("id", "Immutable identifier"))
		p.fails(t, "client", appPath, `{`, 400, invalid("Request body is not valid JSON at byte 1"))
	})
	p.sentence(t, "401 Authentication required", func(t *testing.T) {
		p.fails(t, "anonymous", appPath, `{"is_favorite":true}`, 401, unauthorized)
		p.fails(t, "unknown", appPath, `{"is_favorite":true}`, 401, unauthorized)
	})
	p.sentence(t, "403 Insufficient permissions for this client", func(t *testing.T) {
		p.fails(t, "other", appPath, `{"is_favorite":true}`, 403, forbidden)
		p.fails(t, "reader", appPath, `{"is_favorite":true}`, 403, forbidden)
	})
	p.sentence(t, "404 App or client not found", func(t *testing.T) {
		p.fails(t, "client", pathOf(clientID, nilID), `{"is_favorite":true}`, 404, noApp(nilID))
		p.fails(t, "everything", pathOf(nilID, appID), `{"is_favorite":true}`, 404, noClient(nilID))
	})
	p.sentence(t, "500 Server error", func(t *testing.T) {
		rename := func(from, to string) {
			t.Helper()
			if _, err := p.db.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		rename("apps", "apps_lost")
		r := p.clients["client"].Patch(t, appPath, `{"is_favorite":true}`)
		rename("apps_lost", "apps")
		if r.Status != http.StatusInternalServerError || r.Body != broken+"\n" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
}

func (p *page) exampleErrors(t *testing.T) {
	p.sentence(t, "Invalid field type", func(t *testing.T) {
		p.fails(t, "client", appPath, `{"is_favorite":"true"}`, 400, compact(t, invalidFieldType))
	})
	p.sentence(t, "Attempting to update read-only field", func(t *testing.T) {
		p.fails(t, "client", appPath, `{"catalog_app":{"canonical_name":"Slack"}}`, 400, compact(t, readOnlyField))
	})
}

func (p *page) notes(t *testing.T) {
	p.sentence(t, "This endpoint is idempotent. Setting the same values multiple times produces the same result.", func(t *testing.T) {
		first := p.send(t, updateMultiple)
		after := p.snapshot(t)
		p.SetTime(storetest.Now.AddDate(1, 0, 0))
		for range 3 {
			again := p.send(t, updateMultiple)
			if again.Status != http.StatusOK || again.Body != first.Body || again.Header.Get("ETag") != first.Header.Get("ETag") {
				t.Errorf("first %s %s, then %s %s", first.Header.Get("ETag"), first.Body, again.Header.Get("ETag"), again.Body)
			}
		}
		for _, line := range after.diff(p.snapshot(t)) {
			t.Errorf("the repetition wrote: %s", line)
		}
	})
	p.sentence(t, "Only specified fields are updated. Unmentioned fields remain unchanged.", func(t *testing.T) {
		p.patch(t, `{"is_favorite":true,"is_approved":true,"license_count":50}`, app(true, true, "50", now))
		p.patch(t, `{"is_favorite":false}`, app(false, true, "50", now))
		p.patch(t, `{"license_count":null}`, app(false, true, "null", now))
		p.patch(t, `{"is_approved":false}`, app(false, false, "null", now))
	})
	p.sentence(t, "Use this endpoint for single-app updates (e.g. toggling a favorite star, setting license count).", func(t *testing.T) {
		p.patch(t, `{"is_favorite":true}`, app(true, false, "null", now))
		p.patch(t, `{"is_favorite":false}`, app(false, false, "null", now))
		p.patch(t, `{"license_count":12}`, app(false, false, "12", now))
		p.documented(t, "Use this endpoint for single-app updates (e.g. toggling a favorite star, setting license count).")
	})
	p.sentence(t, "Use the Add Favorites / Remove Favorites endpoints for multi-select bulk operations.", func(t *testing.T) {
		p.documented(t, "Use the Add Favorites / Remove Favorites endpoints for multi-select bulk operations.")
	})
}

// compact removes the white space from an example.
func compact(t *testing.T, example string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(example)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
