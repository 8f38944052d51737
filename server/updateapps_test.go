package server_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// withSecondApp gives the client of the reference page another app.
func withSecondApp(t *testing.T, s flow) string {
	t.Helper()
	created := s.step(t, "POST", clientPath+"/apps", `{"catalog_app_id":"`+newEntry+`"}`, 201, "*")
	return createdID(t, created)
}

func failure(id, code, message string) string {
	return `{"id":"` + id + `","code":"` + code + `","error":"` + message + `"}`
}

// outcome is a bulk result of quoted ids and of failures.
func outcome(succeeded string, failed ...string) string {
	return `{"succeeded":[` + succeeded + `],"failed":[` + strings.Join(failed, ",") + `]}`
}

func TestUpdateApps(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		second, other := withSecondApp(t, s), storetest.OtherAppID.String()
		const path = clientPath + "/apps"
		body := `{"updates":[` +
			`{"id":"` + nilID + `","is_favorite":true},` +
			`{"license_count":50.0,"id":"` + strings.ToUpper(appID) + `","is_favorite":true},` +
			`{"id":"` + other + `","is_favorite":true},` +
			`{"id":"` + second + `","is_approved":true}]}`
		want := outcome(`"`+appID+`","`+second+`"`, failure(nilID, "not_found", "App not found"), failure(other, "not_found", "App not found"))
		s.step(t, "PATCH", path, body, 200, want, "X-Request-Id: many")
		s.step(t, "GET", appPath, "", 200, app(true, false, "50", now))
		if got := s.Get(t, path+"/"+second).Body; !strings.Contains(got, `"is_favorite":false,"is_approved":true,"license_count":null`) {
			t.Error(got)
		}
		changes := decodeObject(t, s.Get(t, appPath+"/changes"))
		if got, want := members(changes, "field", "old_value", "new_value", "request_id"), "license_count/<nil>/50/many is_favorite/false/true/many "+
			"app/<nil>/a1b2c3d4-e5f6-7890-abcd-ef1234567890/seed"; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		// The same again changes nothing, and neither does an update with an id alone.
		s.stepWithoutWrite(t, "PATCH", path, body, 200, want)
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[{"id":"`+appID+`"},{"id":"`+nilID+`"}]}`, 200,
			outcome(`"`+appID+`"`, failure(nilID, "not_found", "App not found")))
		// Null clears, absent keeps.
		s.step(t, "PATCH", path, `{"updates":[{"id":"`+appID+`","license_count":null}]}`, 200, outcome(`"`+appID+`"`))
		s.step(t, "GET", appPath, "", 200, app(true, false, "null", now))
	})
}

func TestUpdateAppsConditions(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		second := withSecondApp(t, s)
		const path = clientPath + "/apps"
		const staleUpdate = "The app has changed since the entity tag in if_match"
		tag := func(path string) string { return quote(s.Get(t, path).Header.Get("ETag")) }
		update := func(id, ifMatch, fields string) string {
			return `{"id":"` + id + `","if_match":` + ifMatch + fields + `}`
		}
		first, old := tag(appPath), tag(appPath)
		s.step(t, "PATCH", path, `{"updates":[`+update(appID, first, `,"is_favorite":true`)+`,`+update(second, `"\"x\""`, `,"is_favorite":true`)+`]}`, 200,
			outcome(`"`+appID+`"`, failure(second, "precondition_failed", staleUpdate)))
		// The old tag is refused, also by an update that would change nothing; a list and the asterisk are as in the header.
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+update(appID, old, `,"is_favorite":true`)+`]}`, 200, outcome("", failure(appID, "precondition_failed", staleUpdate)))
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+update(appID, old, ``)+`]}`, 200, outcome("", failure(appID, "precondition_failed", staleUpdate)))
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+update(nilID, `"*"`, ``)+`]}`, 200, outcome("", failure(nilID, "not_found", "App not found")))
		both := quote(`"x", ` + s.Get(t, appPath).Header.Get("ETag"))
		s.step(t, "PATCH", path, `{"updates":[`+update(appID, both, `,"is_favorite":false`)+`,`+update(second, `"*"`, `,"license_count":1`)+`]}`, 200,
			outcome(`"`+appID+`","`+second+`"`))
		// A tag covers the catalog entry, too.
		old = tag(appPath)
		s.step(t, "PATCH", catalogPath, `{"description":"New"}`, 200, "*")
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+update(appID, old, `,"is_favorite":true`)+`]}`, 200, outcome("", failure(appID, "precondition_failed", staleUpdate)))
		s.step(t, "PATCH", path, `{"updates":[`+update(appID, tag(appPath), `,"is_favorite":true`)+`]}`, 200, outcome(`"`+appID+`"`))
	})
}

func TestUpdateAppsAtomically(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		second := withSecondApp(t, s)
		const path = clientPath + "/apps?atomic=true"
		notAttempted := func(id string) string {
			return failure(id, "not_attempted", "Not attempted because another update failed")
		}
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[{"id":"`+second+`","is_favorite":true},{"id":"`+nilID+`"},{"id":"`+appID+`","is_favorite":true}]}`, 200,
			outcome("", notAttempted(second), failure(nilID, "not_found", "App not found"), notAttempted(appID)))
		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[{"id":"`+second+`","is_favorite":true},{"id":"`+appID+`","if_match":"\"x\""}]}`, 200,
			outcome("", notAttempted(second), failure(appID, "precondition_failed", "The app has changed since the entity tag in if_match")))
		all := `{"updates":[{"id":"` + second + `","is_favorite":true},{"id":"` + appID + `","license_count":3}]}`
		s.step(t, "PATCH", path, all, 200, outcome(`"`+second+`","`+appID+`"`))
		s.stepWithoutWrite(t, "PATCH", path, all, 200, outcome(`"`+second+`","`+appID+`"`))
		s.step(t, "GET", appPath, "", 200, app(false, false, "3", now))
	})
}

func TestUpdateAppsRefusals(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		const path = clientPath + "/apps"
		refuse := func(body, message, field, pointer, more string, header ...string) {
			t.Helper()
			want := `{"error":{"code":"invalid_request","message":` + quote(message) + `,"details":{"field":` + quote(field) + more +
				`,"errors":[{"field":` + quote(field) + `,"pointer":` + quote(pointer) + `,"message":` + quote(message) + `}]}}}`
			s.stepWithoutWrite(t, "PATCH", path, body, 400, want, header...)
		}
		good := `{"id":"` + appID + `","is_favorite":true}`
		one := func(fields string) string {
			return `{"updates":[` + good + `,{"id":"` + newEntry + `",` + fields + `}]}`
		}
		refuse(one(`"license_count":-1`), "updates[1].license_count must be between 0 and 2147483647", "license_count", "/updates/1/license_count", "")
		refuse(one(`"license_count":"1"`), "updates[1].license_count must be an integer or null", "license_count", "/updates/1/license_count", "")
		refuse(one(`"is_favorite":null`), "updates[1].is_favorite must be a boolean value", "is_favorite", "/updates/1/is_favorite", "")
		refuse(one(`"if_match":"x"`), "updates[1].if_match must be * or a list of entity tags", "if_match", "/updates/1/if_match", "")
		refuse(one(`"nonsense":1`), "Unknown field 'nonsense'", "nonsense", "/updates/1/nonsense", "")
		refuse(one(`"logo":null`), "Field 'logo' cannot be updated via this endpoint", "logo", "/updates/1/logo",
			`,"reason":"Managed through the Catalog Apps domain"`)
		refuse(`{"updates":[`+good+`,{"is_favorite":true}]}`, "updates[1].id is required", "id", "/updates/1/id", "")
		refuse(`{"updates":[`+good+`,{"id":"1"}]}`, "updates[1].id must be a UUID", "id", "/updates/1/id", "")
		refuse(`{"updates":[`+good+`,7]}`, "updates[1] must be an object", "updates", "/updates/1", "")
		refuse(`{"updates":[`+good+`,{"id":"`+strings.ToUpper(appID)+`"}]}`, "updates[1].id is that of an earlier update", "id", "/updates/1/id", "")
		refuse(`{"updates":[]}`, "updates must be an array of 1 to 1000 items", "updates", "/updates", "")
		refuse(`{"updates":{}}`, "updates must be an array", "updates", "/updates", "")
		refuse(`{}`, "updates is required", "updates", "/updates", "")
		refuse(`{"updates":[`+strings.Repeat(good+`,`, 1000)+good+`]}`, "updates must be an array of 1 to 1000 items", "updates", "/updates", "")

		// Several are listed in the order of the document.
		got := s.stepWithoutWrite(t, "PATCH", path, `{"updates":[{"is_approved":1,"is_favorite":2,"id":"`+appID+`"},{"id":7}],"x":1}`, 400, "*")
		var pointers []string
		for _, e := range decodeObject(t, got)["error"].(map[string]any)["details"].(map[string]any)["errors"].([]any) {
			pointers = append(pointers, e.(map[string]any)["pointer"].(string))
		}
		if got, want := strings.Join(pointers, " "), "/updates/0/is_approved /updates/0/is_favorite /updates/1/id /x"; got != want {
			t.Errorf("the errors are at %s, want %s", got, want)
		}

		s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+good+`]}`, 400, invalidField("If-Match", "If-Match is for operations on what has an ETag"), `If-Match: "x"`)
		got = s.stepWithoutWrite(t, "PATCH", path, `{"updates":[`+good+`]}`, 415, "*", "Content-Type: application/merge-patch+json")
		if got.Header.Get("Accept-Patch") != "application/json" {
			t.Errorf("Accept-Patch: %s", got.Header.Get("Accept-Patch"))
		}
		s.stepWithoutWrite(t, "PATCH", path+"?atomic=1", `{"updates":[`+good+`]}`, 400, invalidField("atomic", "atomic must be true or false"))
		suspended := "/v2/clients/" + formerClient + "/apps"
		s.stepWithoutWrite(t, "PATCH", suspended, `{"updates":[{"id":"`+appID+`"}]}`, 409,
			`{"error":{"code":"conflict","message":"Client is suspended","details":{"client_id":"`+formerClient+`"}}}`)
		s.stepWithoutWrite(t, "PATCH", "/v2/clients/"+nilID+"/apps", `{"updates":[`+good+`]}`, 404, noClient(nilID))
	})
}

// TestUpdateThousandApps updates as many apps as a request may have, each with values of its own, and finds them all as they were sent.
func TestUpdateThousandApps(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		data, updates := store.Dataset{}, []string{}
		for n := range 1000 {
			entry := store.CatalogApp{ID: numberedID(n), CanonicalName: fmt.Sprintf("App %d", n), CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
			data.CatalogApps = append(data.CatalogApps, entry)
			data.Apps = append(data.Apps, store.App{
				ClientID: storetest.ClientID, ID: entry.ID, CatalogAppID: entry.ID, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
			})
			updates = append(updates, fmt.Sprintf(`{"id":"%s","license_count":%d,"is_favorite":%t}`, entry.ID, n, n%2 == 0))
		}
		if err := s.Store.Seed(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		got := s.Patch(t, clientPath+"/apps", `{"updates":[`+strings.Join(updates, ",")+`]}`)
		if got.Status != http.StatusOK || !strings.HasSuffix(got.Body, `"failed":[]}`+"\n") {
			t.Fatal(got.Status, got.Body)
		}
		for _, n := range []int{0, 1, 499, 500, 501, 999} {
			want := fmt.Sprintf(`"is_favorite":%t,"is_approved":false,"license_count":%d`, n%2 == 0, n)
			if app := s.Get(t, clientPath+"/apps/"+numberedID(n).String()); !strings.Contains(app.Body, want) {
				t.Errorf("app %d is %s, want %s", n, app.Body, want)
			}
		}
	}, func(c *server.Config) { c.DatabaseTimeout = time.Minute }) // a busy machine may need a part of it
}

func numberedID(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	id[0] = 0xaa
	return id
}
