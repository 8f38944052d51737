package load

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/bench/dataset"
)

var size = dataset.Size{Apps: 200_000, Clients: 200, Catalog: 5_000}

// wrk.lua fills in new values for each request, but computes the length of the body only once.
func TestRequestsOfAFormAreAsLong(t *testing.T) {
	t.Parallel()
	for name, forms := range map[string]func(API) []Form{"patch": Patch, "get": Get, "list": List, "bulk": Bulk, "updates": Updates, "mixed": Mixed, "search": Search} {
		p := Plan{Base: "http://127.0.0.1:1", Token: "x", Forms: forms(Contract{}), Size: size}
		for _, f := range p.Forms {
			want := len(p.fill(f.Body, 0))
			for range 50 {
				n := rand.IntN(p.apps(f))
				if got := p.fill(f.Body, n); len(got) != want || strings.ContainsAny(p.fill(f.Path, n), "{}") {
					t.Errorf("%s: app %d: %s %s", name, n, p.fill(f.Path, n), got)
				}
			}
		}
	}
}

func TestMixedReadsInEightCasesOfTen(t *testing.T) {
	t.Parallel()
	weights := map[string]int{}
	for _, f := range Mixed(Contract{}) {
		weights[f.Method] += f.Weight
	}
	if weights["GET"] != 4*weights["PATCH"] || len(weights) != 2 {
		t.Errorf("weights are %v", weights)
	}
}

// The length of a body and the tag are in the head of a request.
func TestRawRequest(t *testing.T) {
	t.Parallel()
	p := Plan{Base: "http://127.0.0.1:1", Token: "x", Size: size}
	got := p.raw(Form{Method: "PATCH", Path: "/a", Body: "{}", ETag: `"1.2"`})
	want := "PATCH /a HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer x\r\nIf-None-Match: \"1.2\"\r\n" +
		"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A slice with a failed request has no figures.
func TestParseWrk(t *testing.T) {
	t.Parallel()
	r, err := parseWrk("some text\nbench 1000 2000000 300 4000 0 0 0 0 0\n")
	if err != nil || r.Rate() != 500 || r.P50.Microseconds() != 300 || r.P99.Microseconds() != 4000 {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, bad := range []string{
		"", "\nbench 1000\n", "\nbench 0 2000000 0 0 0 0 0 0 0\n",
		"\nbench 1000 2000000 300 4000 1 0 0 0 0\n", "\nbench 1000 2000000 300 4000 0 0 0 0 1\n",
	} {
		if r, err := parseWrk(bad); err == nil {
			t.Errorf("%q: got %+v", bad, r)
		}
	}
}
