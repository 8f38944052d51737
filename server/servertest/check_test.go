package servertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
)

const target = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"

// goodApp is a valid response.
func goodApp(t *testing.T) Response {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(doc.Components.Examples["Slack"].Value.Value)
	if err != nil {
		t.Fatal(err)
	}
	return Response{Status: 200, Body: string(body), Header: http.Header{
		"Content-Type": {"application/json"}, "Etag": {`"x"`}, "X-Request-Id": {"x"}, "Date": {"x"},
		"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-cache"},
	}}
}

func goodError(status int, body string, header ...string) Response {
	r := Response{Status: status, Body: body, Header: http.Header{
		"Content-Type": {"application/json"}, "X-Request-Id": {"x"},
		"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"}, "Vary": {"Accept-Encoding", "Accept"},
	}}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// goodProblem returns problem details with more or other members than these.
func goodProblem(members string, header ...string) Response {
	return goodError(404, `{"type":"/docs/problems/not_found","title":"Not found","status":404,"detail":"No such path",`+
		`"instance":"urn:request:x","code":"not_found"`+members+`}`, append([]string{"Content-Type: application/problem+json"}, header...)...)
}

func checkAll(method, target string, r Response) []error {
	request := &http.Request{Method: method, Header: http.Header{}}
	if r.Header.Get("Content-Type") == problemType {
		request.Header.Set("Accept", problemType)
	}
	return append(checkRules(request, &r), checkContract(request, target, &r)...)
}

func TestGoodResponses(t *testing.T) {
	t.Parallel()
	notModified := goodApp(t)
	notModified.Status, notModified.Body = 304, ""
	notModified.Header.Del("Content-Type")
	head := goodApp(t)
	head.Body = ""
	options := goodError(204, "", "Allow: GET")
	options.Header.Del("Content-Type")
	const text = `{"error":{"code":"not_found","message":"No such path"}}`
	for _, good := range []struct {
		method, target string
		response       Response
	}{
		{"GET", target, goodApp(t)},
		{"PATCH", target, goodApp(t)},
		{"GET", target, notModified},
		{"HEAD", target, notModified},
		{"HEAD", target, head},
		{"OPTIONS", target, options},
		{"GET", "/nowhere", goodError(404, text)},
		{"GET", target + "/", goodError(404, text)},
		{"GET", target, goodError(404, `{"error":{"code":"not_found","message":"App not found","details":{"app_id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890"}}}`)},
		{"GET", target, goodProblem("")},
		{"GET", target + "/", goodProblem(`,"details":{"app_id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890"}`)},
		{"PUT", target, goodError(405, `{"error":{"code":"method_not_allowed","message":"No"}}`, "Allow: GET, PATCH")},
		{"PATCH", target, goodError(500, `{"error":{"code":"outcome_unknown","message":"No"}}`)},
		{"GET", target, goodError(503, `{"error":{"code":"unavailable","message":"No"}}`, "Retry-After: 1")},
		{"PATCH", target, goodError(400, `{"error":{"code":"invalid_request","message":"Unknown field 'sql: panic'","details":{"field":"sql: panic"}}}`)},
	} {
		if errs := checkAll(good.method, good.target, good.response); len(errs) > 0 {
			t.Errorf("%s %s %d: %v", good.method, good.target, good.response.Status, errs)
		}
	}
}

// Each check must find the mistake that it exists for.
func TestBadResponses(t *testing.T) {
	t.Parallel()
	for name, corrupt := range map[string]func(*Response){
		"guessing allowed":           func(r *Response) { r.Header.Del("X-Content-Type-Options") },
		"a referrer":                 func(r *Response) { r.Header.Set("Referrer-Policy", "origin") },
		"no word on caches":          func(r *Response) { r.Header.Del("Cache-Control") },
		"a property too many":        func(r *Response) { r.Body = strings.Replace(r.Body, "{", `{"x":1,`, 1) },
		"a nested property too many": func(r *Response) { r.Body = strings.Replace(r.Body, `"vendor":{`, `"vendor":{"x":1,`, 1) },
		"a property too few":         func(r *Response) { r.Body = strings.Replace(r.Body, `"license_count":50,`, "", 1) },
		"a wrong type":               func(r *Response) { r.Body = strings.Replace(r.Body, `"license_count":50`, `"license_count":"50"`, 1) },
		"null where none can be":     func(r *Response) { r.Body = strings.Replace(r.Body, `"is_favorite":true`, `"is_favorite":null`, 1) },
		"two decimals":               func(r *Response) { r.Body = strings.Replace(r.Body, "10:00:00.000Z", "10:00:00.00Z", 1) },
		"an upper-case zone":         func(r *Response) { r.Body = strings.Replace(r.Body, "10:00:00.000Z", "10:00:00.000+00:00", 1) },
		"no JSON":                    func(r *Response) { r.Body += "x" },
		"no body":                    func(r *Response) { r.Body = "" },
		"no request id":              func(r *Response) { r.Header.Del("X-Request-Id") },
		"a bad request id":           func(r *Response) { r.Header.Set("X-Request-Id", "a b") },
		"two request ids":            func(r *Response) { r.Header.Add("X-Request-Id", "y") },
		"no tag":                     func(r *Response) { r.Header.Del("Etag") },
		"a weak tag":                 func(r *Response) { r.Header.Set("Etag", `W/"x"`) },
		"an undocumented header":     func(r *Response) { r.Header.Set("Server", "x") },
		"no media type":              func(r *Response) { r.Header.Del("Content-Type") },
		"another media type":         func(r *Response) { r.Header.Set("Content-Type", "application/json; charset=utf-8") },
		"an undocumented status":     func(r *Response) { r.Status = 201 },
		"a redirect":                 func(r *Response) { r.Status = 307 },
		"304 with a body":            func(r *Response) { r.Status = 304 },
		"204 with a body":            func(r *Response) { r.Status = 204 },
		"an app as an error":         func(r *Response) { r.Status = 404 },
	} {
		bad := goodApp(t)
		bad.Header = maps.Clone(bad.Header)
		corrupt(&bad)
		if errs := checkAll("GET", target, bad); len(errs) == 0 {
			t.Errorf("%s was not detected", name)
		}
	}
	body := goodApp(t)
	if errs := checkAll("HEAD", target, body); len(errs) == 0 {
		t.Error("a body of HEAD was not detected")
	}
	page := Response{Status: 200, Body: "<!doctype html>", Header: http.Header{
		"Content-Type": {"text/html; charset=utf-8"}, "X-Request-Id": {"x"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-cache"},
		"Referrer-Policy": {"no-referrer"},
	}}
	if errs := checkAll("GET", "/docs", page); len(errs) > 0 {
		t.Errorf("a good page: %v", errs)
	}
	page.Header.Set("Referrer-Policy", "origin")
	if errs := checkAll("GET", "/docs", page); len(errs) == 0 {
		t.Error("a page with a referrer was not detected")
	}
}

func TestBadErrors(t *testing.T) {
	t.Parallel()
	message := func(text string) string {
		quoted, _ := json.Marshal(text) // encoding a string cannot fail
		return `{"error":{"code":"internal_error","message":` + string(quoted) + `}}`
	}
	bad := map[string]Response{
		"no shape":                        goodError(500, `{"message":"x"}`),
		"text":                            goodError(500, `x`),
		"nothing":                         goodError(500, ``),
		"two":                             goodError(500, message("x")+message("x")),
		"no message":                      goodError(500, message("")),
		"no code":                         goodError(500, `{"error":{"message":"x"}}`),
		"another's code":                  goodError(500, `{"error":{"code":"not_found","message":"x"}}`),
		"too much":                        goodError(500, `{"error":{"code":"internal_error","message":"x","stack":"x"}}`),
		"too much detail":                 goodError(500, `{"error":{"code":"internal_error","message":"x","details":{"x":1}}}`),
		"not as JSON":                     goodError(500, message("x"), "Content-Type: text/plain"),
		"no challenge":                    goodError(401, `{"error":{"code":"unauthorized","message":"x"}}`),
		"no methods":                      goodError(405, `{"error":{"code":"method_not_allowed","message":"x"}}`),
		"no time to retry":                goodError(503, `{"error":{"code":"unavailable","message":"x"}}`),
		"unknown status":                  goodError(418, `{"error":{"code":"teapot","message":"x"}}`),
		"varies by nothing":               goodError(500, message("x"), "Vary: Accept-Encoding"),
		"text as a problem":               goodError(500, `x`, "Content-Type: application/problem+json"),
		"an error as a problem":           goodError(500, message("x"), "Content-Type: application/problem+json"),
		"a problem as an error":           goodProblem("", "Content-Type: application/json"),
		"another problem":                 goodProblem(`,"code":"gone"`),
		"another type":                    goodProblem(`,"type":"about:blank"`),
		"another title":                   goodProblem(`,"title":"x"`),
		"another status":                  goodProblem(`,"status":400`),
		"another request":                 goodProblem(`,"instance":"urn:request:y"`),
		"nothing in a problem":            goodProblem(`,"details":{}`),
		"errors in the details":           goodProblem(`,"details":{"errors":[{"field":"a","pointer":"/a","message":"x"}]}`),
		"a member too many":               goodProblem(`,"x":1`),
		"no detail in a problem":          goodProblem(`,"detail":""`),
		"hidden in a problem":             goodProblem(`,"detail":"json: cannot unmarshal"`),
		"hidden in an error of a problem": goodProblem(`,"errors":[{"field":"a","pointer":"/a","message":"json: cannot unmarshal"}]`),
		"hidden in an error of a field": goodError(400, `{"error":{"code":"invalid_request","message":"x","details":{"field":"a","errors":[`+
			`{"field":"a","pointer":"/a","message":"json: cannot unmarshal"},{"field":"b","pointer":"/b","message":"x"}]}}}`),
	}
	for _, text := range []string{
		`ERROR: relation "apps" does not exist (SQLSTATE 42P01)`, "SQL logic error: no such table: apps (1)", "runtime error: index out of range",
		"invalid memory address or nil pointer dereference", "json: cannot unmarshal number 1.5 into Go struct field", "context deadline exceeded",
		`strconv.ParseInt: parsing "x"`, "value doesn't match the schema", "code=400, message=Invalid format for parameter app_id: error binding",
		"unexpected EOF", "goroutine 1 [running]", "server/apps.go:12", "pq: duplicate key value violates unique constraint", "%!s(int=5)",
		"invalid UUID length: 1: uuid: x", "dial tcp 127.0.0.1:5432: pgx: connection refused", "map[a:1]",
	} {
		bad[text] = goodError(500, message(text))
	}
	if errs := checkAll("GET", target, goodError(500, `{"error":{"code":"outcome_unknown","message":"x"}}`)); len(errs) == 0 {
		t.Error("a read whose outcome is unknown was not detected")
	}
	for name, response := range bad {
		if errs := checkAll("PATCH", "/nowhere", response); len(errs) == 0 {
			t.Errorf("%s was not detected", name)
		}
	}
}
