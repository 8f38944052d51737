package server_test

import (
	"fmt"
	"strings"
	"testing"
)

// A body is one JSON object as narrowed by RFC 7493.
func TestStrictBody(t *testing.T) {
	const (
		good     = `{"is_favorite":true}`
		trailing = "Request body has data behind its JSON value"
		noObject = "Request body must be a JSON object"
	)
	nested := func(levels int) string {
		return `{"is_favorite":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
	}
	refused := []struct{ name, body, message string }{
		{"spaces", " \n\t\r", "Request body is empty"},
		{"second document", good + good, trailing},
		{"second document on a line of its own", good + "\n" + good + "\n", trailing},
		{"trailing bracket", good + "}", trailing},
		{"trailing comma", good + ",", trailing},
		{"trailing text", good + " x", trailing},
		{"trailing zero byte", good + "\x00", trailing},
		{"trailing comment", good + " // x", trailing},
		{"duplicate key", `{"is_favorite":true,"is_favorite":true}`, "Request body has the key 'is_favorite' twice"},
		{"duplicate key, the first one bad", `{"is_favorite":1,"is_favorite":true}`, "Request body has the key 'is_favorite' twice"},
		{"duplicate key, escaped", `{"is_favorite":true,"is\u005ffavorite":false}`, "Request body has the key 'is_favorite' twice"},
		{"duplicate unknown key", `{"a":1,"b":2,"a":3}`, "Request body has the key 'a' twice"},
		{"duplicate key deeper", `{"a":{"b":1,"b":2}}`, "Request body has the key 'b' twice"},
		{"duplicate key in an array", `{"a":[1,{"b":[{"c":null,"c":null}]}]}`, "Request body has the key 'c' twice"},
		{"byte order mark", "\xef\xbb\xbf" + good, "Request body must not start with a byte order mark"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "Request body is not valid UTF-8"},
		{"invalid UTF-8 in a key", "{\"\xff\":1}", "Request body is not valid UTF-8"},
		{"invalid UTF-8 in a value", "{\"a\":\"\xc3\x28\"}", "Request body is not valid UTF-8"},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", "Request body is not valid UTF-8"},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", "Request body is not valid UTF-8"},
		{"high surrogate alone", `{"a":"\ud800"}`, "Request body has half a surrogate pair in a string"},
		{"low surrogate alone", `{"a":"\udc00"}`, "Request body has half a surrogate pair in a string"},
		{"surrogates in the wrong order", `{"a":"\udc00\ud800"}`, "Request body has half a surrogate pair in a string"},
		{"high surrogate before text", `{"a":"\ud800x"}`, "Request body has half a surrogate pair in a string"},
		{"surrogate in a key", `{"\ud800":1}`, "Request body has half a surrogate pair in a string"},
		{"noncharacter in a key", "{\"\ufdd0\":1}", "Request body has the noncharacter U+FDD0"},
		{"noncharacter in a value", "{\"is_favorite\":\"\U0010ffff\"}", "Request body has the noncharacter U+10FFFF"},
		{"noncharacter in a value that is dropped", "{\"a\":[{\"b\":\"x\ufffe\"}]}", "Request body has the noncharacter U+FFFE"},
		{"escaped noncharacter in a key", `{"\uFDEF":1}`, "Request body has the noncharacter U+FDEF"},
		{"escaped noncharacter in a value", `{"is_favorite":"x\uffff"}`, "Request body has the noncharacter U+FFFF"},
		{"escaped noncharacter of another plane", `{"a":"\ud83f\udffe"}`, "Request body has the noncharacter U+1FFFE"},
		{"65 levels", nested(65), "Request body is nested more than 64 levels deep"},
		{"64 levels", nested(64), "is_favorite must be a boolean value"},
		{"many levels", strings.Repeat("[", 100_000), "Request body is nested more than 64 levels deep"},
		{"20,001 values and names", valuesAndNames(20_001), "Request body has more than 20000 values and names"},
		{"many more", valuesAndNames(500_000), "Request body has more than 20000 values and names"},
		{"many names", `{"":0` + strings.Repeat(`,"":0`, 100), "Request body has the key '' twice"},
		{"many small objects", `{"x":[` + strings.Repeat(`{"":0},`, 100_000) + `0]}`, "Request body has more than 20000 values and names"},
		{"many small objects in a known field", `{"is_favorite":[` + strings.Repeat(`{"":0},`, 100_000) + `0]}`, "Request body has more than 20000 values and names"},
		{"many unknown names", manyNames(100_000), "Request body has more than 20000 values and names"},
		{"20,000 values and names", valuesAndNames(20_000), "is_favorite must be a boolean value"},
		{"null", "null", noObject},
		{"true", "true", noObject},
		{"number", "50", noObject},
		{"string", `"is_favorite"`, noObject},
		{"array", "[]", noObject},
		{"array of a patch", "[" + good + "]", noObject},
		{"JSON Patch", `[{"op":"replace","path":"/is_favorite","value":true}]`, noObject},
	}
	var all []scenario
	for _, r := range refused {
		all = append(all, scenario{name: r.name, body: r.body, status: 400, want: invalid(r.message)})
	}
	// The offset is where the text stops being JSON.
	for _, bad := range []struct{ body, at string }{
		{`{`, "1"},
		{`{"is_favorite"`, "14"},
		{`{"is_favorite":`, "15"},
		{`{"is_favorite":tru}`, "15"},
		{`{"is_favorite":True}`, "15"},
		{`{"is_favorite":truee}`, "19"},
		{`{"is_favorite":true`, "19"},
		{`{"is_favorite":true,}`, "20"},
		{`{is_favorite:true}`, "1"},
		{`{'is_favorite':true}`, "1"},
		{`{"is_favorite" true}`, "15"},
		{`{"is_favorite":undefined}`, "15"},
		{`{"license_count":NaN}`, "17"},
		{`{"license_count":Infinity}`, "17"},
		{`{"license_count":+50}`, "17"},
		{`{"license_count":050}`, "20"},
		{`{"license_count":0x32}`, "18"},
		{`{"license_count":50.}`, "20"},
		{`{"license_count":.5}`, "17"},
		{`{"license_count":5e}`, "19"},
		{`{"license_count":-}`, "18"},
		{`{"license_count":1_000}`, "18"},
		{"{\"a\":\"\n\"}", "6"},
		{"{\"a\":\"\x00\"}", "6"},
		{`{"a":"\x41"}`, "7"},
		{`{"a":"\u12"}`, "7"},
		{`{/**/}`, "1"},
		{"\v{}", "0"},
		{"\u00a0{}", "0"},
		{"is_favorite=true", "0"},
	} {
		all = append(all, scenario{
			name: bad.body, body: bad.body, status: 400, want: invalid("Request body is not valid JSON at byte " + bad.at),
		})
	}
	scenarios(t, append(all,
		scenario{
			name: "surrogate pair", body: `{"\ud83d\ude00":1}`,
			status: 400, want: invalidField("😀", "Unknown field '😀'"),
		},
		scenario{
			name: "beside the noncharacters", body: "{\"\ufdcf\\uFDF0\ufffd\\uD83F\\uDFFD\":1}",
			status: 400, want: invalidField("\ufdcf\ufdf0\ufffd\U0001fffd", "Unknown field '\ufdcf\ufdf0\ufffd\U0001fffd'"),
		},
		scenario{
			name: "spaces and escapes", body: " \t\r\n{ \"is\\u005Ffavorite\" :\n true } \n",
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		},
	))
}

// valuesAndNames returns a body with this many values and names, on three levels, in a known field.
func valuesAndNames(n int) string {
	return `{"is_favorite":[` + strings.Repeat("0,", n-6) + `{"a":0}` + "]}"
}

// manyNames returns a body with n unknown fields.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// A body may have 1 MiB, with or without Content-Length.
func TestBodySize(t *testing.T) {
	const good, limit = `{"is_favorite":true}`, 1 << 20
	fits := good + strings.Repeat(" ", limit-len(good))
	written := []string{"is_favorite: false -> true"}
	scenarios(t, []scenario{
		{name: "a byte more", body: fits + " ", status: 413, want: tooLarge},
		{name: "a byte more, chunked", body: fits + " ", chunked: true, status: 413, want: tooLarge},
		{name: "a byte more, of data", body: fits + "x", chunked: true, status: 413, want: tooLarge},
		{name: "much more", body: strings.Repeat("x", 8*limit), status: 413, want: tooLarge},
		{name: "full and not JSON", body: strings.Repeat("x", limit), status: 400, want: invalid("Request body is not valid JSON at byte 0")},
		{name: "full", body: fits, status: 200, want: app(true, false, "null", now), writes: written},
		{name: "full, chunked", body: fits, chunked: true, status: 200, want: app(true, false, "null", now), writes: written},
		{name: "small, chunked", body: good, chunked: true, status: 200, want: app(true, false, "null", now), writes: written},
	})
}

// A body needs one of two media types, in any spelling.
func TestMediaTypes(t *testing.T) {
	const acceptPatch = "Accept-Patch: application/json, application/merge-patch+json"
	const body = `{"is_favorite":true}`
	var all []scenario
	for _, media := range []string{
		"", "application/json-patch+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
		"text/json", "application/problem+json", "application/merge-patch", "application/jsonp", "application/json5",
		"application/json+json", "application", "json", "/", "*/*", "application/*", ";", "application/json, text/plain",
		"application/json application/json",
	} {
		all = append(all, scenario{
			name: "refused: " + media, header: []string{"Content-Type:" + media}, body: body,
			status: 415, want: wrongType, headers: []string{acceptPatch},
		})
	}
	for _, coding := range []string{"gzip", "x-gzip", "br", "GZIP, gzip", "identity, gzip", "identity;q=1", "*"} {
		all = append(all, scenario{
			name: "encoded: " + coding, header: []string{"Content-Encoding: " + coding}, body: body,
			status: 415, want: wrongEncoding, headers: []string{"Accept-Encoding: identity"},
		})
	}
	for _, coding := range []string{"", "identity", "Identity", "identity, identity", " ,identity,"} {
		all = append(all, scenario{
			name: "not encoded: " + coding, header: []string{"Content-Encoding: " + coding}, body: body,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		})
	}
	all = append(all, scenario{
		name: "two types", header: []string{"Content-Type: application/json", "Content-Type: application/json"}, body: body,
		status: 400, want: invalidField("Content-Type", "Content-Type must be given once"),
	})
	all = append(all,
		scenario{
			name: "no type and a body of unknown length", header: []string{"Content-Type:"}, body: body, chunked: true,
			status: 415, want: wrongType, headers: []string{acceptPatch},
		},
		scenario{
			name: "no body of a wrong type", header: []string{"Content-Type: text/plain"},
			status: 415, want: wrongType, headers: []string{acceptPatch},
		},
		scenario{name: "neither type nor body", status: 400, want: invalid("Request body is empty")},
		scenario{name: "neither type nor body, chunked", chunked: true, status: 400, want: invalid("Request body is empty")},
		scenario{
			name: "no body", header: []string{"Content-Type: application/json"},
			status: 400, want: invalid("Request body is empty"),
		},
		scenario{
			name: "no merge patch", header: []string{"Content-Type: application/merge-patch+json"}, chunked: true,
			status: 400, want: invalid("Request body is empty"),
		},
	)
	for _, media := range []string{
		"application/json", "application/json; charset=utf-8", "application/json;charset=\"UTF-8\"", "application/json ; a=b ; c=d",
		"Application/JSON", "APPLICATION/JSON; CHARSET=UTF-8", "application/json;",
		"application/merge-patch+json", "application/merge-patch+json; charset=utf-8", "Application/Merge-Patch+JSON",
	} {
		all = append(all, scenario{
			name: "accepted: " + media, header: []string{"Content-Type: " + media}, body: body,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
			headers: []string{"Accept-Patch:"},
		})
	}
	for _, null := range []string{"application/json", "application/merge-patch+json"} {
		all = append(all, scenario{
			name: "null in " + null, given: `{"license_count":7}`, header: []string{"Content-Type: " + null}, body: `{"license_count":null}`,
			status: 200, want: app(false, false, "null", now), writes: []string{"license_count: 7 -> null"},
		})
	}
	scenarios(t, all)
}
