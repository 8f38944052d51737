package server_test

import (
	"net/http"
	"strings"
	"testing"
)

const (
	salesforce    = `{"id":"f6a7b8c9-d0e1-2345-fabc-678901234567","name":"Salesforce, Inc.","url":"https://www.salesforce.com"}`
	communication = `{"id":"a7b8c9d0-e1f2-3456-abcd-789012345678","name":"Communication"}`
)

var zoom = compactJSON(`{
	"id": "c3b2c3d4-e5f6-7890-abcd-ef1234567890",
	"canonical_name": "Zoom",
	"description": null,
	"display_colour": null,
	"logo": null,
	"type": null,
	"vendor": null,
	"categories": [],
	"created_at": "2026-02-24T15:00:00.000Z",
	"updated_at": "2026-02-24T15:00:00.000Z"
}`)

func TestCatalogAppIsMadeChangedAndDeleted(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		full := compactJSON(`{
			"canonical_name": "Intranet",
			"description": "Ours",
			"display_colour": "#00ff00",
			"logo": "https://a.example/x.png",
			"type": "web",
			"vendor_id": "F6A7B8C9-D0E1-2345-FABC-678901234567",
			"category_ids": ["a7b8c9d0-e1f2-3456-abcd-789012345678", "A7B8C9D0-E1F2-3456-ABCD-789012345678"]
		}`)
		created := s.step(t, "POST", "/v2/catalog-apps", full, 201, "*")
		path := "/v2/catalog-apps/" + createdID(t, created)
		want := func(name, rest string) string {
			return compactJSON(`{
				"id": "` + path[len("/v2/catalog-apps/"):] + `",
				"canonical_name": "` + name + `",
				` + rest + `,
				"created_at": "` + now + `",
				"updated_at": "` + now + `"
			}`)
		}
		shown := want("Intranet", `
			"description": "Ours",
			"display_colour": "#00ff00",
			"logo": "https://a.example/x.png",
			"type": "web",
			"vendor": `+salesforce+`,
			"categories": [`+communication+`]`)
		if created.Body != shown+"\n" {
			t.Errorf("%s, want %s", created.Body, shown)
		}
		read := s.step(t, "GET", path, "", 200, shown)
		if read.Header.Get("ETag") != created.Header.Get("ETag") {
			t.Error("the ETag of the write differs from the ETag of the read")
		}
		s.step(t, "GET", path, "", 304, "", "If-None-Match: "+read.Header.Get("ETag"))
		s.checkConditions(t, path, `{"type":"mobile"}`)
		for _, field := range []string{"description", "display_colour", "logo", "type", "vendor_id"} {
			s.step(t, "PATCH", path, `{"`+field+`":null}`, 200, "*")
			s.stepWithoutWrite(t, "PATCH", path, `{"`+field+`":null}`, 200, "*")
		}
		bare := want("Intranet", `
			"description": null,
			"display_colour": null,
			"logo": null,
			"type": null,
			"vendor": null,
			"categories": [`+communication+`]`)
		s.step(t, "GET", path, "", 200, bare)
		s.step(t, "PATCH", path, `{"category_ids":[]}`, 200, strings.Replace(bare, communication, "", 1))
		s.stepWithoutWrite(t, "PATCH", path, `{"category_ids":[]}`, 200, "*")
		s.step(t, "PATCH", path, `{"canonical_name":"INTRANET"}`, 200, strings.NewReplacer(communication, "", "Intranet", "INTRANET").Replace(bare))
		s.stepWithoutWrite(t, "DELETE", path, "", 412, stale, `If-Match: "x"`)
		s.step(t, "DELETE", path, "", 204, "", "If-Match: *")
		id := path[len("/v2/catalog-apps/"):]
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			body := ""
			if method == "PATCH" {
				body = "{}"
			}
			s.stepWithoutWrite(t, method, path, body, 404, missing("Catalog app", "catalog_app_id", id))
		}
	})
}

func TestCatalogAppRefusals(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		for body, want := range map[string]string{
			`{"canonical_name":""}`:                                 invalidField("canonical_name", "canonical_name"+nameRule),
			`{"canonical_name":" x"}`:                               invalidField("canonical_name", "canonical_name"+nameRule),
			`{"canonical_name":"` + strings.Repeat("x", 201) + `"}`: invalidField("canonical_name", "canonical_name"+nameRule),
			`{"canonical_name":"a\u0000b"}`:                         invalidField("canonical_name", "canonical_name"+nameRule),
			`{"canonical_name":null}`:                               invalidField("canonical_name", "canonical_name must be a string"),
			`{"description":"\u0000"}`:                              invalidField("description", "description must be at most 2000 characters long, without NUL characters"),
			`{"description":1}`:                                     invalidField("description", "description must be a string or null"),
			`{"display_colour":"red"}`:                              invalidField("display_colour", "display_colour must be a colour as #RRGGBB"),
			`{"logo":"ftp://x"}`:                                    invalidField("logo", "logo must be an http or https URL of at most 2048 characters"),
			`{"type":"Desktop"}`:                                    invalidField("type", "type must be a short lower-case word"),
			`{"vendor_id":"x"}`:                                     invalidField("vendor_id", "vendor_id must be a UUID"),
			`{"vendor_id":"` + nilID + `"}`:                         invalidField("vendor_id", "vendor_id does not exist"),
			`{"category_ids":null}`:                                 invalidField("category_ids", "category_ids must be an array"),
			`{"category_ids":["` + nilID + `"]}`:                    invalidField("category_ids", "category_ids does not exist"),
			`{"category_ids":["` + nilID + `","x"]}`:                invalidField("category_ids", "category_ids[1] must be a UUID"),
			`{"vendor":{}}`:                                         readOnly("vendor", "Set through vendor_id"),
			`{"categories":[]}`:                                     readOnly("categories", "Set through category_ids"),
			`{"id":"x"}`:                                            readOnly("id", "Immutable identifier"),
			`{"updated_at":"x"}`:                                    readOnly("updated_at", "System-managed timestamp"),
		} {
			s.stepWithoutWrite(t, "PATCH", catalogPath, body, 400, want)
		}
		s.stepWithoutWrite(t, "POST", "/v2/catalog-apps", `{"description":"x"}`, 400, invalidField("canonical_name", "canonical_name is required"))
		s.stepWithoutWrite(t, "POST", "/v2/catalog-apps", `{"canonical_name":"x","vendor_id":"`+nilID+`"}`, 400, invalidField("vendor_id", "vendor_id does not exist"))
		s.stepWithoutWrite(t, "POST", "/v2/catalog-apps", `{"canonical_name":"SLACK"}`, 409, conflict("canonical_name", "canonical_name is taken"))
		s.stepWithoutWrite(t, "PATCH", catalogPath, `{"canonical_name":"ZOOM"}`, 409, conflict("canonical_name", "canonical_name is taken"))
		s.stepWithoutWrite(t, "DELETE", catalogPath, "", 409, `{"error":{"code":"conflict","message":"Catalog app is used by clients"}}`)
	})
}

func TestCatalogChangeShowsInTheApps(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		for _, change := range []struct{ path, body, shows string }{
			{catalogPath, `{"description":"New"}`, `"description":"New"`},
			{vendorPath, `{"name":"Salesforce","url":null}`, `"name":"Salesforce","url":null`},
			{categoryPath, `{"name":"Chat"}`, `"name":"Chat"`},
			{catalogPath, `{"category_ids":[],"vendor_id":null}`, `"vendor":null,"categories":[]`},
		} {
			tag := s.etag(t)
			s.step(t, "PATCH", change.path, change.body, 200, "*")
			app := s.Get(t, appPath)
			if !strings.Contains(app.Body, change.shows) || app.Header.Get("ETag") == tag {
				t.Errorf("after %s the app is %s with %s", change.body, app.Body, app.Header.Get("ETag"))
			}
			s.stepWithoutWrite(t, "PATCH", appPath, `{"is_favorite":true}`, 412, stale, "If-Match: "+tag)
		}
	})
}

func TestCatalogSummary(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		first := s.step(t, "GET", "/v2/catalog-apps/summary", "", 200, `{"apps":2,"vendors":2,"categories":2}`)
		tag := first.Header.Get("ETag")
		s.step(t, "GET", "/v2/catalog-apps/summary", "", 304, "", "If-None-Match: "+tag)
		s.step(t, "POST", "/v2/catalog-vendors", `{"name":"Zoom Communications"}`, 201, "*")
		if r := s.step(t, "GET", "/v2/catalog-apps/summary", "", 200, `{"apps":2,"vendors":3,"categories":2}`, "If-None-Match: "+tag); r.Header.Get("ETag") == tag {
			t.Error("the ETag is unchanged")
		}
		s.step(t, "PATCH", "/v2/catalog-apps/summary", "{}", 405, noMethod)
		s.step(t, "DELETE", "/v2/catalog-apps/summary", "", 405, noMethod)
	})
}

func TestVendorsAndCategories(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		for _, kind := range []struct{ plural, path, param, name, have string }{
			{"/v2/catalog-vendors", vendorPath, "vendor_id", "Vendor", "Salesforce, Inc."},
			{"/v2/catalog-categories", categoryPath, "category_id", "Category", "Communication"},
		} {
			created := s.step(t, "POST", kind.plural, `{"name":"Straße"}`, 201, "*")
			path := kind.plural + "/" + createdID(t, created)
			if created.Header.Get("Location") != path || created.Header.Get("ETag") == "" {
				t.Errorf("%v", created.Header)
			}
			s.stepWithoutWrite(t, "POST", kind.plural, `{"name":"STRASSE"}`, 409, conflict("name", "name is taken"))
			s.stepWithoutWrite(t, "PATCH", path, `{"name":"`+strings.ToUpper(kind.have)+`"}`, 409, conflict("name", "name is taken"))
			s.checkConditions(t, path, `{"name":"strasse"}`)
			s.stepWithoutWrite(t, "PATCH", kind.plural+"/"+nilID, `{"name":"x"}`, 404, missing(kind.name, kind.param, nilID))
			s.stepWithoutWrite(t, "PATCH", kind.path, `{"id":"x"}`, 400, readOnly("id", "Immutable identifier"))
			s.stepWithoutWrite(t, "PATCH", kind.path, `{"name":null}`, 400, invalidField("name", "name must be a string"))
			s.step(t, "GET", kind.path, "", 405, noMethod)

			used := `{"error":{"code":"conflict","message":"` + kind.name + ` is used by catalog apps"}}`
			s.stepWithoutWrite(t, "DELETE", kind.path, "", 409, used)
			s.stepWithoutWrite(t, "DELETE", kind.path, "", 412, stale, `If-Match: "x"`)
			s.stepWithoutWrite(t, "DELETE", kind.plural+"/"+nilID, "", 404, missing(kind.name, kind.param, nilID))
			s.step(t, "DELETE", path, "", 204, "")
			s.stepWithoutWrite(t, "DELETE", path, "", 404, missing(kind.name, kind.param, createdID(t, created)))
			if list := s.Get(t, kind.plural+"?q=strasse"); !strings.Contains(list.Body, `"total_count":0`) {
				t.Errorf("after it was deleted: %s", list.Body)
			}
		}
		s.step(t, "GET", "/v2/catalog-categories?q=COMM", "", 200, singlePage(1, communication))
		s.step(t, "GET", "/v2/catalog-vendors?q=force%2C", "", 200, singlePage(1, salesforce))
		s.step(t, "GET", "/v2/catalog-vendors?q=%25", "", 200, singlePage(0))
		s.stepWithoutWrite(t, "PATCH", vendorPath, `{"url":"x"}`, 400, invalidField("url", "url must be an http or https URL of at most 2048 characters"))
		s.step(t, "PATCH", vendorPath, `{"url":null}`, 200, strings.Replace(salesforce, `"https://www.salesforce.com"`, "null", 1))
	})
}

func TestURLPatternsAndDesktopAliases(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		for _, kind := range []struct{ path, field, member string }{
			{"/url-patterns", "patterns", "pattern"}, {"/desktop-aliases", "aliases", "alias"},
		} {
			path := catalogPath + kind.path
			s.step(t, "GET", path, "", 200, singlePage(0))
			s.step(t, "PUT", path, `{"`+kind.field+`":["b_","A","b_","%"]}`, 204, "")
			first := decodeObject(t, s.step(t, "GET", path, "", 200, "*"))
			if names := members(first, kind.member); names != "% A b_" || first["total_count"] != 3.0 {
				t.Errorf("%s: %v", kind.path, first)
			}
			s.stepWithoutWrite(t, "PUT", path, `{"`+kind.field+`":["%","A","b_"]}`, 204, "")
			s.step(t, "PUT", path, `{"`+kind.field+`":["A","c"]}`, 204, "")
			second := decodeObject(t, s.step(t, "GET", path+"?sort_order=desc", "", 200, "*"))
			if members(second, kind.member) != "c A" || strings.Fields(members(second, "id"))[1] != strings.Fields(members(first, "id"))[1] {
				t.Errorf("%s: %v, before %v", kind.path, second, first)
			}
			for q, want := range map[string]string{"a": "A", "%25": "", "_": "", "C": "c"} {
				if got := members(decodeObject(t, s.step(t, "GET", path+"?q="+q, "", 200, "*")), kind.member); got != want {
					t.Errorf("%s?q=%s: %s", kind.path, q, got)
				}
			}
			s.step(t, "GET", path+"?sort_by=created_at&page_size=1", "", 200, "*")
			s.stepWithoutWrite(t, "PUT", path, `{"`+kind.field+`":["ok",""]}`, 400, "*")
			s.stepWithoutWrite(t, "PUT", path, `{"`+kind.field+`":[1]}`, 400, invalidField(kind.field, kind.field+"[0] must be a string"))
			s.stepWithoutWrite(t, "PUT", path, `{"`+kind.field+`":"x"}`, 400, invalidField(kind.field, kind.field+" must be an array"))
			s.stepWithoutWrite(t, "PUT", path, `{}`, 400, invalidField(kind.field, kind.field+" is required"))
			unknown := strings.Replace(path, "a1b2c3d4", "a1b2c3d5", 1)
			for _, method := range []string{http.MethodGet, http.MethodPut} {
				body := ""
				if method == http.MethodPut {
					body = `{"` + kind.field + `":[]}`
				}
				s.stepWithoutWrite(t, method, unknown, body, 404, missing("Catalog app", "catalog_app_id", "a1b2c3d5-e5f6-7890-abcd-ef1234567890"))
			}
			s.step(t, "PUT", path, `{"`+kind.field+`":[]}`, 204, "")
			s.step(t, "GET", path, "", 200, singlePage(0))
		}
	})
}
