package contract

import (
	"testing"
	"time"
)

// A deprecated operation works for at least a year after its deprecation. It documents the deprecation headers of every answer except
// 405, which belongs to the path.
func TestDeprecations(t *testing.T) {
	t.Parallel()
	for id, op := range operations(load(t, "openapi.yaml")) {
		for status, response := range op.Responses.Map() {
			want := op.Deprecated && status != "405"
			for _, name := range []string{"Deprecation", "Sunset"} {
				header := response.Value.Headers[name]
				if got := header != nil && header.Value.Required; got != want {
					t.Errorf("%s answers %s: always with %s: %t, want %t", id, status, name, got, want)
				}
			}
		}
		if !op.Deprecated {
			continue
		}
		var dates [2]time.Time
		for i, name := range []string{"x-deprecated-on", "x-sunset"} {
			text, _ := op.Extensions[name].(string)
			var err error
			if dates[i], err = time.Parse(time.DateOnly, text); err != nil {
				t.Errorf("%s: %s: %v", id, name, err)
			}
		}
		if dates[1].Before(dates[0].AddDate(1, 0, 0)) {
			t.Errorf("%s: sunset on %s, want at least a year after %s", id, dates[1], dates[0])
		}
	}
}
