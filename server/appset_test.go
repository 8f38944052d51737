package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

func TestAddAndRemoveApp(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		body := `{"catalog_app_id":"` + strings.ToUpper(newEntry) + `","license_count":0,"is_approved":true}`
		created := s.step(t, "POST", clientPath+"/apps", body, 201, "*", "X-Request-Id: added")
		added := createdID(t, created)
		path := clientPath + "/apps/" + added
		want := compactJSON(`{
			"id": "` + added + `",
			"catalog_app": ` + zoom + `,
			"is_favorite": false,
			"is_approved": true,
			"license_count": 0,
			"created_at": "` + now + `",
			"updated_at": "` + now + `"
		}`)
		if created.Body != want+"\n" || created.Header.Get("Location") != path {
			t.Errorf("%s %s", created.Header.Get("Location"), created.Body)
		}
		if read := s.step(t, "GET", path, "", 200, want); read.Header.Get("ETag") != created.Header.Get("ETag") {
			t.Error("the ETag of the write differs from the ETag of the read")
		}
		s.stepWithoutWrite(t, "POST", clientPath+"/apps", `{"catalog_app_id":"`+newEntry+`"}`, 409,
			`{"error":{"code":"conflict","message":"The client has this app already","details":{"field":"catalog_app_id","app_id":"`+added+`"}}}`)
		s.stepWithoutWrite(t, "POST", clientPath+"/apps", `{"catalog_app_id":"`+nilID+`"}`, 400, invalidField("catalog_app_id", "catalog_app_id does not exist"))
		s.stepWithoutWrite(t, "POST", clientPath+"/apps", `{"catalog_app_id":"x","license_count":-1}`, 400, "*")
		s.stepWithoutWrite(t, "POST", clientPath+"/apps", `{}`, 400, invalidField("catalog_app_id", "catalog_app_id is required"))

		s.stepWithoutWrite(t, "DELETE", path, "", 412, stale, `If-Match: "x"`)
		s.stepWithoutWrite(t, "DELETE", strings.Replace(path, clientID, storetest.OtherClientID.String(), 1), "", 404, noApp(added))
		s.step(t, "DELETE", path, "", 204, "", "If-Match: "+created.Header.Get("ETag"), "X-Request-Id: removed")
		s.stepWithoutWrite(t, "GET", path, "", 404, noApp(added))
		s.stepWithoutWrite(t, "DELETE", path, "", 404, noApp(added))

		again := createdID(t, s.step(t, "POST", clientPath+"/apps", `{"catalog_app_id":"`+newEntry+`"}`, 201, "*"))
		if again == added {
			t.Error("the added app has the id of the removed one")
		}
		changes := decodeObject(t, s.step(t, "GET", path+"/changes", "", 200, "*"))
		got := members(changes, "field", "old_value", "new_value", "request_id")
		wantChanges := fmt.Sprintf("app/%s/<nil>/removed license_count/<nil>/0/added is_approved/false/true/added app/<nil>/%s/added", newEntry, newEntry)
		if got != wantChanges {
			t.Errorf("changes of a removed app:\n%s\nwant\n%s", got, wantChanges)
		}
	})
}

func TestAppChanges(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		s.step(t, "PATCH", appPath, `{"license_count":50,"is_favorite":true}`, 200, "*", "X-Request-Id: one")
		s.step(t, "PATCH", appPath, `{"license_count":50}`, 200, "*", "X-Request-Id: nothing")
		s.step(t, "PATCH", appPath, `{"license_count":null}`, 200, "*", "X-Request-Id: two")
		s.step(t, "POST", clientPath+"/apps/approval", bulkBody, 200, "*", "X-Request-Id: three")
		all := decodeObject(t, s.step(t, "GET", appPath+"/changes", "", 200, "*"))
		want := "is_approved/false/true/three license_count/50/<nil>/two license_count/<nil>/50/one is_favorite/false/true/one " +
			"app/<nil>/a1b2c3d4-e5f6-7890-abcd-ef1234567890/seed"
		if got := members(all, "field", "old_value", "new_value", "request_id"); got != want || all["total_count"] != 5.0 {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		first := all["data"].([]any)[0].(map[string]any)
		if actor := first["actor"].(map[string]any); actor["id"] != s.Actor.ID.String() || actor["name"] != "everything" || first["changed_at"] != now {
			t.Errorf("%v", first)
		}
		walked := walk(t, s, appPath+"/changes?page_size=2")
		if got := strings.Join(walked, " "); got != members(all, "id") {
			t.Errorf("by pages %s, in one page %s", got, members(all, "id"))
		}
		s.step(t, "GET", clientPath+"/apps/"+nilID+"/changes", "", 404, noApp(nilID))
		s.step(t, "GET", clientPath+"/apps/"+storetest.OtherAppID.String()+"/changes", "", 404, noApp(storetest.OtherAppID.String()))
	})
}

func TestBulk(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		other := storetest.OtherAppID.String()
		body := `{"app_ids":["` + nilID + `","` + strings.ToUpper(appID) + `","` + other + `","` + appID + `","` + nilID + `"]}`
		want := compactJSON(`{
			"succeeded": ["` + appID + `"],
			"failed": [
				{"id": "` + nilID + `", "code": "not_found", "error": "App not found"},
				{"id": "` + other + `", "code": "not_found", "error": "App not found"}
			]
		}`)
		for _, op := range []struct{ path, shows string }{
			{"/apps/favorites", `"is_favorite":true`},
			{"/apps/favorites/remove", `"is_favorite":false`},
			{"/apps/approval", `"is_approved":true`},
			{"/apps/approval/reject", `"is_approved":false`},
			{"/apps/approval", `"is_approved":true`},
			{"/apps/approvals/remove", `"is_approved":false`},
		} {
			s.step(t, "POST", clientPath+op.path, body, 200, want)
			if app := s.Get(t, appPath); !strings.Contains(app.Body, op.shows) {
				t.Errorf("after %s: %s", op.path, app.Body)
			}
			s.stepWithoutWrite(t, "POST", clientPath+op.path, body, 200, want)
		}
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{"app_ids":["`+nilID+`"]}`, 200, `{"succeeded":[],"failed":[{"id":"`+nilID+`","code":"not_found","error":"App not found"}]}`)
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{}`, 400, invalidField("app_ids", "app_ids is required"))
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{"app_ids":[]}`, 400, invalidField("app_ids", "app_ids must be an array of 1 to 1000 items"))
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{"app_ids":null}`, 400, invalidField("app_ids", "app_ids must be an array"))
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{"app_ids":["`+appID+`","{`+appID+`}"]}`, 400, invalidField("app_ids", "app_ids[1] must be a UUID"))
		thousand := strings.Repeat(`"`+appID+`",`, 999) + `"` + appID + `"`
		s.step(t, "POST", clientPath+"/apps/favorites", `{"app_ids":[`+thousand+`]}`, 200, `{"succeeded":["`+appID+`"],"failed":[]}`)
		s.stepWithoutWrite(t, "POST", clientPath+"/apps/favorites", `{"app_ids":[`+thousand+`,"`+appID+`"]}`, 400, invalidField("app_ids", "app_ids must be an array of 1 to 1000 items"))
	})
}
