package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := &progress{w: &out}
		// shown returns what show has written a tenth of a second later.
		shown := func(after time.Duration, task string, done, total int64) string {
			time.Sleep(after)
			out.Reset()
			p.show(task, done, total)
			return out.String()
		}
		const soon, later = time.Millisecond, 100 * time.Millisecond
		p.clear()
		for _, step := range []struct {
			after       time.Duration
			task        string
			done, total int64
			want        string
		}{
			{soon, "reading", 1, 4, "\rreading  25% [#######                       ]  \x1b[0K"},
			{later, "reading", 2, 4, "\rreading  50% [###############               ]  \x1b[0K"},
			{soon, "reading", 3, 4, ""},
			{soon, "reading", 5, 4, "\x1b[2K\r"}, // all of it, and more: the file has grown
			{soon, "writing", 1, 4, "\x1b[2K\r\rwriting  25% [#######                       ]  \x1b[0K"},
			{later, "writing", 3, 4, "\rwriting  75% [######################        ]  \x1b[0K"},
		} {
			if got := shown(step.after, step.task, step.done, step.total); got != step.want {
				t.Errorf("%d of %d: %q, want %q", step.done, step.total, got, step.want)
			}
		}
		out.Reset()
		p.clear()
		p.clear()
		if out.String() != "\x1b[2K\r" {
			t.Errorf("cleared by %q", &out)
		}
		shown(soon, "reading", 1, 0)
		if got := shown(later, "reading", 12345, 0); !strings.Contains(got, " reading (12345) ") {
			t.Errorf("without a total: %q", got)
		}
	})
}

func TestNoProgressWithoutTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	p := newProgress(file)
	p.show("reading", 4, 4)
	p.clear()
	info, err := file.Stat()
	if err != nil || info.Size() != 0 {
		t.Errorf("%v %v: progress is shown where there is no terminal", info, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if newProgress(&strings.Builder{}).w != nil {
		t.Error("progress is shown on what is no file")
	}
}
