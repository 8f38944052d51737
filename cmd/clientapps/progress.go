package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows a progress bar on a terminal. Elsewhere it shows nothing.
type progress struct {
	w     io.Writer
	now   func() time.Time
	shown time.Time
	drawn bool
}

func newProgress(w io.Writer) *progress {
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w, now: time.Now}
		}
	}
	return &progress{}
}

// show redraws the line, at most ten times a second. A total of 0 means unknown.
func (p *progress) show(doing string, done, total int64) {
	if p.w == nil || p.now().Sub(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown, p.drawn = p.now(), true
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", progressLine(doing, done, total))
}

// clear removes the line.
func (p *progress) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func progressLine(doing string, done, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%s %d", doing, done)
	}
	const width = 30
	part := min(done, total) * width / total
	return fmt.Sprintf("%s [%-*s] %3d%%", doing, width, strings.Repeat("#", int(part)), min(done, total)*100/total)
}

// countingReader reports the bytes read so far.
type countingReader struct {
	io.Reader

	n    int64
	read func(n int64)
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	r.read(r.n)
	return n, err
}
