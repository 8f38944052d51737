package conditional

import (
	"slices"
	"testing"
)

// If-Match takes only strong tags, If-None-Match also weak ones. Both ignore the suffix of a compressed representation.
func TestTagsOfConditions(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct{ match, noneMatch []string }{
		``:                           {},
		`*`:                          {},
		`x`:                          {},
		`"x`:                         {},
		`""`:                         {[]string{""}, []string{""}},
		`"x"`:                        {[]string{"x"}, []string{"x"}},
		`W/"x"`:                      {nil, []string{"x"}},
		`"x-gzip"`:                   {[]string{"x"}, []string{"x"}},
		`W/"x-gzip"`:                 {nil, []string{"x"}},
		`"-gzip-x"`:                  {[]string{"-gzip-x"}, []string{"-gzip-x"}},
		"\"x\",\t,,\"y\" , ,":        {[]string{"x", "y"}, []string{"x", "y"}},
		`"a,b" ,W/"c-gzip" , "d"`:    {[]string{"a,b", "d"}, []string{"a,b", "c", "d"}},
		`W/"x", "x-gzip", W/"W/", "`: {[]string{"x"}, []string{"x", "x", "W/"}},
	} {
		if got := ParseIfMatch(header); !slices.Equal(got, want.match) {
			t.Errorf("If-Match: %s: %q, want %q", header, got, want.match)
		}
		if got := ParseIfNoneMatch(header); !slices.Equal(got, want.noneMatch) {
			t.Errorf("If-None-Match: %s: %q, want %q", header, got, want.noneMatch)
		}
	}
}

func TestNoneMatch(t *testing.T) {
	t.Parallel()
	for _, current := range []string{Strong("x"), Weak("x"), Strong("x-gzip")} {
		for header, want := range map[string]bool{
			``: true, `"y"`: true, `"x"`: false, `W/"x"`: false, `"x-gzip"`: false, `"y", W/"x"`: false, `*`: false, `"*"`: true, `"xx"`: true,
		} {
			if got := NoneMatch(header, current); got != want {
				t.Errorf("%s and %s: %v", header, current, got)
			}
		}
	}
}
