package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	now := time.Unix(0, 0)
	p := &progress{w: &out, now: func() time.Time { return now }, shown: now}
	p.clear()
	p.show("reading", 1, 4) // too soon
	for _, done := range []int64{2, 4, 5} {
		now = now.Add(100 * time.Millisecond)
		p.show("reading", done, 4)
		p.show("reading", done, 4)
	}
	now = now.Add(time.Second)
	p.show("reading", 12345, 0)
	p.clear()
	p.clear()
	const line, full = "\r\x1b[K", "reading [##############################] 100%"
	want := line + "reading [###############               ]  50%" + line + full + line + full + line + "reading 12345" + line
	if out.String() != want {
		t.Errorf("shown is %q, want %q", out.String(), want)
	}
	if p := newProgress(&out); p.w != nil {
		t.Error("progress is shown on something that is not a terminal")
	}
}
