package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
	"github.com/clientapps/clientapps/webhook"
)

const (
	webhooksPath  = "/v2/webhooks"
	publicURL     = "https://hooks.example.com/clientapps"
	nowhere       = "http://127.0.0.1:9/" // a closed port
	badWebhookURL = "url must be an https URL at port 443 or 8443 of at most 2048 characters, without user information or fragment, of a public address"
)

func noWebhook(id string) string {
	return `{"error":{"code":"not_found","message":"Webhook not found","details":{"webhook_id":"` + id + `"}}}`
}

// newWebhook creates a webhook. Its secret must not be logged.
func newWebhook(t *testing.T, s *servertest.Server, by *servertest.Client, body string) gen.WebhookWithSecret {
	t.Helper()
	waitForFeed(t, s)
	hook := call[gen.WebhookWithSecret](t, by, http.MethodPost, webhooksPath, body, http.StatusCreated)
	s.Log.Forbid(hook.Secret)
	return hook
}

// exampleError returns the body of an error as the contract shows it.
func exampleError(t *testing.T, name string) string {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	var body gen.Error
	text, err := json.Marshal(doc.Components.Examples[name].Value.Value)
	if err != nil {
		t.Fatal(err)
	}
	decodeJSON(t, string(text), &body)
	if text, err = json.Marshal(body); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitForFeed waits until the feed has all changes of the database: transactions of other tests delay it.
func waitForFeed(t *testing.T, s *servertest.Server) {
	t.Helper()
	eventually(t, func() bool {
		var written int
		row := storetest.SQL(t, s.DatabaseURL).QueryRowContext(t.Context(), "SELECT count(*) FROM app_changes")
		if err := row.Scan(&written); err != nil {
			t.Fatal(err)
		}
		return len(call[gen.ChangeFeed](t, s.Client, http.MethodGet, "/v2/changes?page_size=500", "", http.StatusOK).Data) == written
	})
}

func clientWebhook(url string) string { return `{"client_id":"` + clientID + `","url":"` + url + `"}` }

func webhookPath(hook gen.WebhookWithSecret) string { return webhooksPath + "/" + hook.ID.String() }

// A new webhook is answered with its secret, and read back without it. A patch changes what is in it.
func TestWebhookLife(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		body := `{"client_id":"` + strings.ToUpper(clientID) + `","url":"` + publicURL + `","description":"Zoë","fields":["license_count","is_approved"]}`
		got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: webhooksPath, Body: body})
		var hook gen.WebhookWithSecret
		if decodeJSON(t, got.Body, &hook); got.Status != http.StatusCreated {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		s.Log.Forbid(hook.Secret)
		path := webhookPath(hook)
		if got.Header.Get("Location") != path || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("ETag") != "" {
			t.Errorf("%v", got.Header)
		}
		shown := func(description, fields, status, updatedAt string) string {
			return `{"id":"` + hook.ID.String() + `","client_id":"` + clientID + `","url":"` + publicURL + `","description":` + description + `,"fields":` + fields +
				`,"status":"` + status + `","last_error":null,"behind":0,"created_by":"` + s.Actor.ID.String() + `","created_at":"` + now + `","updated_at":"` + updatedAt + `"`
		}
		want := shown(`"Zoë"`, `["is_approved","license_count"]`, "active", now)
		if got.Body != want+`,"secret":"`+hook.Secret+"\"}\n" {
			t.Errorf("%s, want %s", got.Body, want)
		}
		s.Clock.Advance(time.Second)
		const later = "2026-02-24T15:00:01.000Z"
		for _, step := range []struct{ patch, want string }{
			{`{}`, want},
			{`{"description":"Zoë","fields":["license_count","is_approved"],"status":"active"}`, want},
			{`{"description":null}`, shown("null", `["is_approved","license_count"]`, "active", later)},
			{`{"fields":[],"status":"disabled"}`, shown("null", "[]", "disabled", later)},
			{`{"status":"active"}`, shown("null", "[]", "active", later)},
		} {
			if patched := s.Patch(t, path, step.patch); patched.Status != http.StatusOK || patched.Body != step.want+"}\n" {
				t.Errorf("%s: %d %s, want %s", step.patch, patched.Status, patched.Body, step.want)
			}
			if read := s.Get(t, path); read.Status != http.StatusOK || read.Body != step.want+"}\n" {
				t.Errorf("%s: %d %s, want %s", step.patch, read.Status, read.Body, step.want)
			}
		}
		rotated := call[gen.WebhookWithSecret](t, s.Client, http.MethodPost, path+"/rotate-secret", "", http.StatusOK)
		if s.Log.Forbid(rotated.Secret); rotated.Secret == hook.Secret {
			t.Error("the secret is the same")
		}
		call[struct{}](t, s.Client, http.MethodDelete, path, "", http.StatusNoContent)
		for _, r := range []servertest.Request{
			{Method: "GET", Target: path},
			{Method: "PATCH", Target: path, Body: "{}"},
			{Method: "DELETE", Target: path},
			{Method: "POST", Target: path + "/rotate-secret"},
			{Method: "POST", Target: path + "/test"},
			{Method: "GET", Target: path + "/deliveries"},
			{Method: "POST", Target: path + "/replay", Body: `{"since":"2099-01-01T00:00:00Z"}`},
		} {
			if got := s.Send(t, r); got.Status != http.StatusNotFound || got.Body != noWebhook(hook.ID.String())+"\n" {
				t.Errorf("%s %s: %d %s", r.Method, r.Target, got.Status, got.Body)
			}
		}
	})
}

// What cannot be is refused with the name of the field, and nothing is written.
func TestInvalidWebhooks(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		hook := newWebhook(t, s, s.Client, clientWebhook(publicURL))
		before := f.content(t)
		readOnly := func(field, reason string) string {
			return `{"error":{"code":"invalid_request","message":"Field '` + field + `' cannot be updated via this endpoint","details":{"field":"` + field + `","reason":"` + reason + `"}}}`
		}
		for body, want := range map[string]string{
			`{"url":"` + publicURL + `"}`:                                                                    invalidField("client_id", "client_id is required"),
			`{"client_id":null}`:                                                                             invalidField("url", "url is required"),
			`{"client_id":"` + nilID + `","url":"` + publicURL + `"}`:                                        invalidField("client_id", "client_id does not exist"),
			`{"client_id":"x","url":"` + publicURL + `"}`:                                                    invalidField("client_id", "client_id must be a UUID or null"),
			clientWebhook("ftp://hooks.example.com"):                                                         invalidField("url", badWebhookURL),
			clientWebhook("http://hooks.example.com"):                                                        invalidField("url", badWebhookURL),
			clientWebhook("https://hooks.example.com:444/"):                                                  invalidField("url", badWebhookURL),
			clientWebhook("https://me@hooks.example.com/"):                                                   invalidField("url", badWebhookURL),
			clientWebhook("https://hooks.example.com/#a"):                                                    invalidField("url", badWebhookURL),
			clientWebhook("https://10.0.0.1/"):                                                               invalidField("url", badWebhookURL),
			clientWebhook("https://[::ffff:169.254.169.254]/"):                                               invalidField("url", badWebhookURL),
			clientWebhook("https://2130706433/"):                                                             invalidField("url", badWebhookURL),
			`{"client_id":null,"url":"` + publicURL + `","fields":["name"]}`:                                 invalidField("fields", "fields[0] must be one of app, client, client_name, client_status, is_approved, is_favorite, license_count"),
			`{"client_id":null,"url":"` + publicURL + `","fields":["app","app"]}`:                            invalidField("fields", "fields must be an array of different items"),
			`{"client_id":null,"url":"` + publicURL + `","since":"yesterday"}`:                               invalidField("since", "since must be a timestamp"),
			`{"client_id":null,"url":"` + publicURL + `","since":"2027-02-29T00:00:00Z"}`:                    invalidField("since", "since must be a timestamp"),
			`{"client_id":null,"url":"` + publicURL + `","status":"active"}`:                                 invalidField("status", "Unknown field 'status'"),
			`{"client_id":null,"url":"` + publicURL + `","description":"\u0001"}`:                            "",
			`{"client_id":null,"url":"https://hooks.example.com/` + strings.Repeat("a", 2048) + `"}`:         invalidField("url", badWebhookURL),
			`{"client_id":null,"url":"` + publicURL + `","description":"` + strings.Repeat("a", 1001) + `"}`: "",
		} {
			got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: webhooksPath, Body: body})
			if got.Status != http.StatusBadRequest || want != "" && got.Body != want+"\n" {
				t.Errorf("create %.200s: %d %s, want %s", body, got.Status, got.Body, want)
			}
		}
		for body, want := range map[string]string{
			`{"url":"http://hooks.example.com"}`: invalidField("url", badWebhookURL),
			`{"url":null}`:                       "",
			`{"status":"failing"}`:               invalidField("status", "status must be one of active, disabled"),
			`{"fields":null}`:                    "",
			`{"behind":0}`:                       readOnly("behind", "Managed by the server"),
			`{"last_error":null}`:                readOnly("last_error", "Managed by the server"),
			`{"client_id":null}`:                 readOnly("client_id", "Immutable identifier"),
			`{"id":"` + nilID + `"}`:             readOnly("id", "Immutable identifier"),
			`{"secret":"x"}`:                     readOnly("secret", "Changed by rotateWebhookSecret"),
			`{"updated_at":"` + now + `"}`:       readOnly("updated_at", "System-managed timestamp"),
		} {
			if got := s.Patch(t, webhookPath(hook), body); got.Status != http.StatusBadRequest || want != "" && got.Body != want+"\n" {
				t.Errorf("patch %s: %d %s, want %s", body, got.Status, got.Body, want)
			}
		}
		const either = "either since or cursor is needed"
		list := call[gen.ChangeFeed](t, s.Client, http.MethodGet, "/v2/changes", "", http.StatusOK)
		filtered := call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes?field=app", "", http.StatusOK)
		for body, want := range map[string]string{
			`{}`: invalidField("since", either),
			`{"since":"` + now + `","cursor":"AAECAwQFBgc"}`: invalidField("since", "cursor and since cannot be combined"),
			`{"cursor":"AAECAwQFBgc"}`:                       invalidField("cursor", "cursor must be a next_cursor of the same list"),
			`{"cursor":"` + list.NextCursor + `"}`:           invalidField("cursor", "cursor must be a next_cursor of the same list"),
			`{"cursor":"` + filtered.NextCursor + `"}`:       invalidField("cursor", "cursor must be a next_cursor of the same list"),
			`{"since":null}`:                                 "",
		} {
			got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: webhookPath(hook) + "/replay", Body: body})
			if got.Status != http.StatusBadRequest || want != "" && got.Body != want+"\n" {
				t.Errorf("replay %s: %d %s, want %s", body, got.Status, got.Body, want)
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPatch} {
			target, body := webhooksPath, clientWebhook(publicURL)
			if method == http.MethodPatch {
				target, body = webhookPath(hook), "{}"
			}
			if got := s.Send(t, servertest.Request{Method: method, Target: target + "?dry_run=true", Body: body}); got.Status != http.StatusBadRequest {
				t.Errorf("%s as a dry run: %d", method, got.Status)
			}
			if got := s.Send(t, servertest.Request{Method: method, Target: target, Body: body, Header: []string{`If-Match: "a"`}}); got.Status != http.StatusBadRequest {
				t.Errorf("%s with If-Match: %d", method, got.Status)
			}
		}
		if after := f.content(t); after != before {
			t.Errorf("written: %s\nbefore: %s", after, before)
		}
	})
}

// A webhook is there for tokens that cover what it follows. To send changes out, a token must be allowed to read them.
func TestWhoMayHaveWebhooks(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		all := newWebhook(t, s, s.Client, `{"client_id":null,"url":"`+publicURL+`"}`)
		own := newWebhook(t, s, s.Client, clientWebhook(publicURL))
		other := newWebhook(t, s, s.Client, `{"client_id":"`+otherClientID+`","url":"`+publicURL+`"}`)
		if all.ClientID != nil || own.ClientID.String() != clientID {
			t.Errorf("%v, %v", all.ClientID, own.ClientID)
		}
		token := func(scopes string) *servertest.Client {
			_, c := createToken(t, s, s.Client, `{"name":"x","scopes":[`+scopes+`],"client_ids":["`+clientID+`"]}`)
			return c
		}
		c := token(`"apps:read","webhooks:read","webhooks:write"`)
		list := call[gen.WebhookList](t, c, http.MethodGet, webhooksPath, "", http.StatusOK)
		if list.TotalCount != 1 || len(list.Data) != 1 || list.Data[0].ID != own.ID {
			t.Errorf("%+v", list)
		}
		if list := call[gen.WebhookList](t, s.Client, http.MethodGet, webhooksPath+"?page_size=2", "", http.StatusOK); list.TotalCount != 3 || len(list.Data) != 2 || list.NextCursor == nil {
			t.Errorf("%+v", list)
		} else if rest := call[gen.WebhookList](t, s.Client, http.MethodGet, webhooksPath+"?page_size=2&cursor="+*list.NextCursor, "", http.StatusOK); len(rest.Data) != 1 || rest.NextCursor != nil {
			t.Errorf("%+v", rest)
		}
		if list := call[gen.WebhookList](t, s.Client, http.MethodGet, webhooksPath+"?client_id="+otherClientID, "", http.StatusOK); list.TotalCount != 1 || list.Data[0].ID != other.ID {
			t.Errorf("%+v", list)
		}
		for _, hook := range []gen.WebhookWithSecret{all, other} {
			for _, r := range []servertest.Request{
				{Method: "GET", Target: webhookPath(hook)},
				{Method: "PATCH", Target: webhookPath(hook), Body: `{"status":"disabled"}`},
				{Method: "DELETE", Target: webhookPath(hook)},
				{Method: "POST", Target: webhookPath(hook) + "/rotate-secret"},
				{Method: "POST", Target: webhookPath(hook) + "/test"},
				{Method: "GET", Target: webhookPath(hook) + "/deliveries"},
				{Method: "POST", Target: webhookPath(hook) + "/replay", Body: `{"since":"2099-01-01T00:00:00Z"}`},
			} {
				if got := c.Send(t, r); got.Status != http.StatusNotFound || got.Body != noWebhook(hook.ID.String())+"\n" {
					t.Errorf("%s %s: %d %s", r.Method, r.Target, got.Status, got.Body)
				}
			}
		}
		refused := func(c *servertest.Client, method, target, body string) {
			t.Helper()
			if got := c.Send(t, servertest.Request{Method: method, Target: target, Body: body}); got.Status != http.StatusForbidden || got.Body != forbidden+"\n" {
				t.Errorf("%s %s %s: %d %s", method, target, body, got.Status, got.Body)
			}
		}
		refused(c, "POST", webhooksPath, `{"client_id":null,"url":"`+publicURL+`"}`)
		for _, client := range []string{otherClientID, nilID} { // whether it exists or not
			refused(c, "POST", webhooksPath, `{"client_id":"`+client+`","url":"`+publicURL+`"}`)
			refused(c, "GET", webhooksPath+"?client_id="+client, "")
		}
		newWebhook(t, s, c, clientWebhook(publicURL))
		blind := token(`"webhooks:write","webhooks:read"`)
		refused(blind, "POST", webhooksPath, clientWebhook(publicURL))
		refused(blind, "PATCH", webhookPath(own), `{"url":"https://evil.example.com/"}`)
		refused(blind, "POST", webhookPath(own)+"/replay", `{"since":"2099-01-01T00:00:00Z"}`)
		call[gen.Webhook](t, blind, http.MethodPatch, webhookPath(own), `{"status":"disabled"}`, http.StatusOK)
		call[gen.Webhook](t, blind, http.MethodGet, webhookPath(own), "", http.StatusOK)
		refused(token(`"webhooks:read","apps:read"`), "PATCH", webhookPath(own), `{"status":"active"}`)
		refused(token(`"webhooks:write","apps:read"`), "GET", webhookPath(own), "")
		call[struct{}](t, c, http.MethodDelete, webhookPath(own), "", http.StatusNoContent)
	})
}

// A client has at most 20 webhooks, and there are at most 20 for all clients.
func TestWebhookLimit(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for _, client := range []string{`"` + clientID + `"`, "null"} {
			body := fmt.Sprintf(`{"client_id":%s,"url":%q}`, client, publicURL)
			for range 20 {
				newWebhook(t, s, s.Client, body)
			}
			got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: webhooksPath, Body: body})
			want := exampleError(t, "TooManyWebhooks")
			if got.Status != http.StatusConflict || got.Body != want+"\n" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		newWebhook(t, s, s.Client, `{"client_id":"`+otherClientID+`","url":"`+publicURL+`"}`)
	})
}

// Without a key for their secrets a server makes no webhooks.
func TestNoKeyForWebhooks(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		hook := newWebhook(t, s, s.Client, clientWebhook(publicURL))
		keyless := servertest.New(t, s.DatabaseURL, func(c *server.Config) { c.Webhooks = webhook.Config{} })
		for target, body := range map[string]string{
			webhooksPath: clientWebhook(publicURL), webhookPath(hook) + "/rotate-secret": "", webhookPath(hook) + "/test": "",
		} {
			got := keyless.Send(t, servertest.Request{Method: http.MethodPost, Target: target, Body: body})
			if want := exampleError(t, "WebhooksOff"); got.Status != http.StatusConflict || got.Body != want+"\n" {
				t.Errorf("%s: %d %s", target, got.Status, got.Body)
			}
		}
		call[gen.Webhook](t, keyless.Client, http.MethodPatch, webhookPath(hook), `{"status":"disabled"}`, http.StatusOK)
	})
}

// A test delivers a ping at once and says what came of it, once in ten seconds.
func TestTestWebhook(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		test := func(status int) *servertest.Response {
			t.Helper()
			got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: webhookPath(hook) + "/test"})
			if got.Status != status {
				t.Errorf("%d %s, want %d", got.Status, got.Body, status)
			}
			return got
		}
		var result gen.WebhookTest
		decodeJSON(t, test(http.StatusOK).Body, &result)
		ping := r.next(t)
		want := `{"type":"ping","timestamp":"` + now + `","data":{"webhook_id":"` + hook.ID.String() + `"}}`
		if ping.body != want || ping.id != result.DeliveryID.String() || result.Status == nil || *result.Status != http.StatusNoContent || result.Error != nil {
			t.Errorf("%+v, %+v", ping, result)
		}
		ping.verify(t, hook.Secret)
		s.Clock.Advance(4 * time.Second)
		if got := test(http.StatusTooManyRequests); got.Header.Get("Retry-After") != "6" {
			t.Errorf("%v", got.Header)
		}
		s.Clock.Advance(6 * time.Second)
		r.answer(http.StatusInternalServerError)
		decodeJSON(t, test(http.StatusOK).Body, &result)
		r.next(t)
		if result.Status == nil || *result.Status != http.StatusInternalServerError || result.Error == nil || *result.Error != "The receiver answered 500" {
			t.Errorf("%+v", result)
		}
		call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hook), `{"url":"`+nowhere+`"}`, http.StatusOK)
		s.Clock.Advance(10 * time.Second)
		decodeJSON(t, test(http.StatusOK).Body, &result)
		if result.Status != nil || result.Error == nil || *result.Error != "The connection failed" {
			t.Errorf("%+v", result)
		}
		list := call[gen.WebhookDeliveryList](t, s.Client, http.MethodGet, webhookPath(hook)+"/deliveries?page_size=2", "", http.StatusOK)
		if list.TotalCount != 3 || len(list.Data) != 2 || list.Data[0].DeliveryID != result.DeliveryID || list.Data[0].Type != "ping" || list.Data[1].Status == nil {
			t.Errorf("%+v", list)
		}
		if shown := call[gen.Webhook](t, s.Client, http.MethodGet, webhookPath(hook), "", http.StatusOK); shown.Status != "active" {
			t.Errorf("%+v", shown)
		}
		s.Clock.Advance(73 * time.Hour)
		if list := call[gen.WebhookDeliveryList](t, s.Client, http.MethodGet, webhookPath(hook)+"/deliveries", "", http.StatusOK); list.TotalCount != 0 {
			t.Errorf("%+v", list)
		}
	})
}

// A webhook whose position was pruned is replayed before it is active again, and not to what was pruned.
func TestPrunedWebhook(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		hook := newWebhook(t, s, s.Client, clientWebhook(publicURL))
		call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hook), `{"status":"disabled"}`, http.StatusOK)
		begin := call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes?page_size=1", "", http.StatusOK)
		s.Patch(t, appPath, `{"is_favorite":true}`)
		eventually(t, func() bool {
			return call[gen.Webhook](t, s.Client, http.MethodGet, webhookPath(hook), "", http.StatusOK).Behind == 1
		})
		s.Clock.Advance(time.Hour)
		s.Patch(t, appPath, `{"is_favorite":false}`)
		waitForFeed(t, s)
		// As `clientapps history prune` does. The role of a server with row-level security may not.
		half := "'2026-02-24 15:30:00Z'"
		if strings.HasPrefix(s.DatabaseURL, "sqlite:") {
			half = "1771947000000"
		}
		for _, statement := range []string{
			"UPDATE change_feed SET pruned_position = (SELECT max(position) FROM app_changes), pruned_before = " + half,
			"DELETE FROM app_changes WHERE position < (SELECT pruned_position FROM change_feed)",
		} {
			if _, err := storetest.SQL(t, s.DatabaseURL).ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		got := s.Patch(t, webhookPath(hook), `{"status":"active"}`)
		want := strings.Replace(exampleError(t, "WebhookPruned"), "a241bc3f-bb17-5e2d-8e19-298eeb39497b", hook.ID.String(), 1)
		if got.Status != http.StatusConflict || got.Body != want+"\n" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		for _, r := range []servertest.Request{
			{Target: webhookPath(hook) + "/replay", Body: `{"cursor":"` + begin.NextCursor + `"}`},
			{Target: webhookPath(hook) + "/replay", Body: `{"since":"2026-01-01T00:00:00Z"}`},
			{Target: webhooksPath, Body: `{"client_id":null,"url":"` + publicURL + `","since":"2026-01-01T00:00:00Z"}`},
		} {
			r.Method = http.MethodPost
			if got := s.Send(t, r); got.Status != http.StatusGone {
				t.Errorf("%s %s: %d %s", r.Target, r.Body, got.Status, got.Body)
			}
		}
		end := call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes?since=2099-01-01T00:00:00Z", "", http.StatusOK)
		replayed := call[gen.Webhook](t, s.Client, http.MethodPost, webhookPath(hook)+"/replay", `{"cursor":"`+end.NextCursor+`"}`, http.StatusOK)
		if replayed.Status != "disabled" || replayed.Behind != 0 {
			t.Errorf("%+v", replayed)
		}
		if active := call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hook), `{"status":"active"}`, http.StatusOK); active.Status != "active" {
			t.Errorf("%+v", active)
		}
	})
}

// Revoking a token disables the webhooks that it has made, unless they are to be kept. A deleted client has none.
func TestWebhooksEnd(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for _, keep := range []bool{false, true} {
			token, c := createToken(t, s, s.Client, `{"name":"x","scopes":["apps:read","webhooks:read","webhooks:write"],"client_ids":["`+clientID+`"]}`)
			hook := newWebhook(t, s, c, clientWebhook(publicURL))
			call[struct{}](t, s.Client, http.MethodDelete, fmt.Sprintf("%s/%s?keep_created=%t", tokensPath, token.ID, keep), "", http.StatusNoContent)
			shown := call[gen.Webhook](t, s.Client, http.MethodGet, webhookPath(hook), "", http.StatusOK)
			if (shown.Status == "active") != keep || (shown.LastError == nil) != keep {
				t.Errorf("kept %t: %+v", keep, shown)
			}
		}
		withFormerClient(t, s)
		hook := newWebhook(t, s, s.Client, `{"client_id":"`+formerClient+`","url":"`+publicURL+`"}`)
		call[struct{}](t, s.Client, http.MethodDelete, "/v2/clients/"+formerClient, "", http.StatusNoContent)
		if got := s.Get(t, webhookPath(hook)); got.Status != http.StatusNotFound {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

// The database has no secret in the clear.
func TestSecretsAreEncrypted(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		hook := newWebhook(t, s, s.Client, clientWebhook(publicURL))
		var sealed []byte
		query := storetest.SQL(t, s.DatabaseURL).QueryRowContext(t.Context(), "SELECT secret FROM webhooks")
		if err := query.Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		secret := secretBytes(t, hook.Secret)
		if text, _ := json.Marshal(sealed); strings.Contains(string(sealed), string(secret)) || strings.Contains(string(text), hook.Secret[6:]) || len(sealed) < 48 {
			t.Errorf("%x has %x", sealed, secret)
		}
	})
}

// A server encrypts the secrets anew with its first key when it starts, so that the old key can go. One that cannot be read stays, and
// does not keep it from the others.
func TestAnotherKey(t *testing.T) {
	t.Parallel()
	key := func(fill byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)) }
	servertest.Each(t, func(t *testing.T, s *servertest.Server) { // with the key 0
		for _, path := range []string{"/v2/webhooks/00000000-0000-0000-0000-000000000001", "/v2/webhooks/ffffffff-ffff-ffff-ffff-ffffffffffff"} {
			if err := s.Store.Seed(t.Context(), store.Dataset{Webhooks: []store.Webhook{{
				ID: id(strings.TrimPrefix(path, "/v2/webhooks/")), ClientID: &storetest.ClientID, URL: nowhere, Status: store.WebhookDisabled,
				Secret: []byte{1}, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
			}}}); err != nil {
				t.Fatal(err)
			}
		}
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		serve := func(keys ...string) *servertest.Server {
			return servertest.New(t, s.DatabaseURL, func(c *server.Config) {
				var err error
				if c.Webhooks.Keys, err = webhook.ParseKeys(keys); err != nil {
					t.Fatal(err)
				}
			})
		}
		test := func(s *servertest.Server) (result gen.WebhookTest) {
			t.Helper()
			s.Clock.Advance(time.Minute)
			return call[gen.WebhookTest](t, s.Client, http.MethodPost, webhookPath(hook)+"/test", "", http.StatusOK)
		}
		if got := test(serve(key(1))); got.Error == nil || *got.Error != "The server cannot read the secret of the webhook" {
			t.Errorf("without its key: %+v", got)
		}
		deliver(t, serve(key(1), key(0)))
		renewed := serve(key(1))
		renewed.Clock.Advance(time.Hour)
		eventually(t, func() bool { return test(renewed).Error == nil })
		r.next(t).verify(t, hook.Secret)
	})
}
