package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/servertest"
)

// Case is one request and the expected answer.
type Case struct {
	Name    string
	Client  string // the name of its token; "" for a token with all scopes
	Request servertest.Request
	Want    Want
}

// Base is a request of an operation that succeeds.
type Base struct {
	Op     *Operation
	Values map[string]string // of the path parameters, where the contract's examples do not exist
	Body   Object
}

// Request returns the request.
func (b Base) Request() servertest.Request {
	r := servertest.Request{Method: b.Op.Method, Target: b.Op.Target(b.Values)}
	if b.Op.Body != nil {
		r.Body = b.Body.String()
	}
	return r
}

func (b Base) body(text string) servertest.Request {
	r := b.Request()
	if r.Body = text; text == "" {
		r.Header = []string{"Content-Type: application/json"}
	}
	return r
}

func (b Base) query(query string) servertest.Request {
	r := b.Request()
	r.Target += "?" + query
	return r
}

func (b Base) header(lines ...string) servertest.Request {
	r := b.Request()
	r.Header = lines
	return r
}

// unknownID is an id that does not exist.
const unknownID = "00000000-0000-4000-8000-00000000dead"

// Methods returns requests with each method that the path does not have, and with HEAD and OPTIONS.
func Methods(b Base) []Case {
	var cases []Case
	allow := b.Op.Allow()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		if !slices.Contains(strings.Split(allow, ", "), method) {
			r := servertest.Request{Method: method, Target: b.Op.Target(b.Values)}
			cases = append(cases, Case{method, "anonymous", r, Want{Status: []int{405}, Header: map[string]string{"Allow": allow}}})
		}
	}
	r := servertest.Request{Method: "OPTIONS", Target: b.Op.Target(b.Values)}
	want := Want{Status: []int{204}, Header: map[string]string{"Allow": allow, "Accept-Patch": b.Op.PatchTypes}}
	return append(cases, Case{"OPTIONS", "anonymous", r, want},
		Case{"a slash at the end", "", servertest.Request{Method: b.Op.Method, Target: b.Op.Target(b.Values) + "/"}, Want{Status: []int{404}}})
}

// Unauthorized returns requests without permission: they are refused whatever else is wrong with them.
func Unauthorized(b Base) []Case {
	var cases []Case
	bad := b.Request()
	bad.Target, bad.Header = strings.Replace(bad.Target, unknownID, "x", 1)+"?no=such", []string{"Accept: text/html"}
	if b.Op.Body != nil {
		bad.Body, bad.Header = "{", append(bad.Header, "Content-Type: text/plain")
	}
	add := func(name, client string, status int, more ...string) {
		want := Want{Status: []int{status}, Message: "Insufficient permissions for this client", Field: "-"}
		if status == 401 {
			want = Want{Status: []int{401}, Field: "-", Header: map[string]string{"Www-Authenticate": "Bearer"}}
		}
		cases = append(cases, Case{name, client, b.header(more...), want})
		r := bad
		r.Header = append(slices.Clone(bad.Header), more...)
		cases = append(cases, Case{name + ", all else wrong", client, r, want})
	}
	for _, client := range []string{"anonymous", "unknown", "expired", "revoked"} {
		add(client, client, 401)
	}
	for _, value := range []string{"Bearer", "Bearer ", "Basic eDp4", "capp_x", "Bearer capp_x", "Bearer x y"} {
		add(value, "anonymous", 401, "Authorization: "+value)
	}
	for _, scope := range b.Op.Scopes {
		add("all scopes but "+scope, "all but "+scope, 403)
	}
	if b.Op.PerClient() {
		add("another client's token", "other client", 403)
		add("no such client", "other client", 403)
		values := map[string]string{"client_id": unknownID, "app_id": unknownID}
		for _, name := range []string{"client_id", "app_id"} {
			r := servertest.Request{Method: b.Op.Method, Target: b.Op.Target(map[string]string{name: values[name]}), Body: b.Request().Body}
			cases = append(cases, Case{"nothing there: " + name, "other client", r, Want{Status: []int{403}, Message: "Insufficient permissions for this client", Field: "-"}})
		}
	}
	if b.Op.AllClients {
		add("a token for some clients", "other client", 403)
	}
	return cases
}

// MediaTypes returns requests with bodies of different media types.
func MediaTypes(b Base) []Case {
	if b.Op.Body == nil {
		return nil
	}
	var cases []Case
	acceptPatch := ""
	if b.Op.Method == http.MethodPatch {
		acceptPatch = b.Op.PatchTypes
	}
	unsupported := Want{Status: []int{415}, Header: map[string]string{"Accept-Patch": acceptPatch}}
	for _, media := range b.Op.MediaTypes {
		for _, spelling := range []string{media, strings.ToUpper(media), media + "; charset=utf-8", media + ";x=y", " " + media + " "} {
			r := b.header("Content-Type: " + spelling)
			if media == "text/csv" {
				r.Body = "canonical_name\n" + b.Body.Get("canonical_name") + "\n"
			}
			cases = append(cases, Case{spelling, "", r, accepted(b.Op)})
		}
	}
	for _, media := range []string{
		"application/json", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "application/merge-patch+json",
		"application/json-patch+json", "application/jsonx", "application", "*/*", "application/*", "text/json",
	} {
		if !slices.Contains(b.Op.MediaTypes, media) {
			cases = append(cases, Case{media, "", b.header("Content-Type: " + media), unsupported})
		}
	}
	return append(cases, Case{"no type", "", b.header("Content-Type:"), unsupported},
		Case{"a coding", "", b.header("Content-Encoding: gzip"), unsupported})
}

// Parameters returns requests with valid and invalid values of each parameter.
func Parameters(b Base) []Case {
	cases := []Case{
		{"unknown parameter", "", b.query("no_such=1"), refused("no_such", "Unknown query parameter 'no_such'")},
		{"bad escape", "", b.query("q=%zz"), Want{Status: []int{400}}},
		{"not acceptable", "", b.header("Accept: text/html"), Want{Status: []int{406}}},
		{"acceptable", "", b.header("Accept: text/html, */*;q=0.1"), accepted(b.Op)},
		{"problem details alone", "", b.header("Accept: application/problem+json"), accepted(b.Op)},
	}
	for _, p := range b.Op.Params {
		switch p.In {
		case openapi3.ParameterInPath:
			cases = append(cases, pathCases(b, p)...)
		case openapi3.ParameterInQuery:
			cases = append(cases, queryCases(b, p)...)
		default:
			for _, value := range []string{"x", `"x`, `W/x`, `"a" "b"`, `w/"a"`, strings.Repeat("x", 1025)} {
				cases = append(cases, Case{p.Name + " " + value, "", b.header(p.Name + ": " + value), refused(p.Name, "")})
			}
		}
	}
	return cases
}

func pathCases(b Base, p *openapi3.Parameter) []Case {
	var cases []Case
	with := func(value string) servertest.Request {
		r := b.Request()
		values := map[string]string{p.Name: value}
		for name, v := range b.Values {
			if name != p.Name {
				values[name] = v
			}
		}
		r.Target = b.Op.Target(values)
		return r
	}
	for _, text := range Texts(p.Schema.Value) {
		if text != "" && !Valid(p.Schema.Value, quote(text)) {
			r := with(url.PathEscape(text))
			cases = append(cases, Case{p.Name + " " + text, "", r, refused(p.Name, violationMessage(p.Name, p.Schema.Value, quote(text)))})
		}
	}
	want := Want{Status: []int{404}, ID: [2]string{p.Name, unknownID}}
	if b.Op.ID == "listAppChanges" && p.Name == "app_id" {
		want = Want{Status: []int{404}}
	}
	cases = append(cases, Case{p.Name + " of nothing", "", with(unknownID), want})
	if b.Op.Method == http.MethodGet || b.Op.Method == http.MethodPatch {
		cases = append(cases, Case{p.Name + " in capitals", "", with(strings.ToUpper(strings.TrimPrefix(exampleOf(p), "/"))), Want{Status: []int{b.Op.Success}}})
	}
	return cases
}

func queryCases(b Base, p *openapi3.Parameter) []Case {
	schema := p.Schema.Value
	var texts []string
	valid := func(text string) bool { return Valid(schema, quote(text)) }
	switch {
	case schema.Type.Is("boolean"):
		texts = []string{"true", "false", "1", "0", "t", "TRUE", "True", "null", "", "yes"}
		valid = func(text string) bool { return text == "true" || text == "false" }
	case schema.Type.Is("integer"):
		texts = []string{"", "x", "1.5", "true", " 1", "1 ", "0x1", "99999999999999999999"}
		for _, bound := range []float64{*schema.Min, *schema.Max} {
			for _, d := range []float64{-1, 0, 1} {
				texts = append(texts, strconv.FormatFloat(bound+d, 'f', -1, 64))
			}
		}
		valid = func(text string) bool {
			n, err := strconv.Atoi(text)
			return err == nil && Valid(schema, strconv.Itoa(n))
		}
	default:
		texts = append(Texts(schema), "", "%", `\`, "_", "'", `"`)
	}
	var cases []Case
	for _, text := range texts {
		want := Want{Status: []int{b.Op.Success}}
		if b.Op.Method != http.MethodGet {
			want = accepted(b.Op)
		}
		if !valid(text) || p.Name == "cursor" {
			want = refused(p.Name, "")
		}
		cases = append(cases, Case{p.Name + "=" + text, "", b.query(p.Name + "=" + url.QueryEscape(text)), want})
	}
	value := url.QueryEscape(exampleOf(p))
	cases = append(cases, Case{p.Name + " twice", "", b.query(p.Name + "=" + value + "&" + p.Name + "=" + value), refused(p.Name, "")})
	return cases
}
