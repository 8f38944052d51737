package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows a progress bar on a terminal. Elsewhere it shows nothing.
type progress struct {
	w    io.Writer // nil: no terminal
	bar  *progressbar.ProgressBar
	task string
}

func newProgress(w io.Writer) *progress {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &progress{w: w}
	}
	return &progress{}
}

// show redraws the bar, at most ten times a second. A total of 0 means unknown.
func (p *progress) show(task string, done, total int64) {
	if p.w == nil {
		return
	}
	if total <= 0 {
		total = -1 // shown as unknown by the library
	} else {
		done = min(done, total)
	}
	if p.bar == nil || p.task != task {
		p.clear()
		p.task, p.bar = task, newBar(p.w, task, total)
	}
	_ = p.bar.Set64(done) // the terminal may be gone
}

func newBar(w io.Writer, task string, total int64) *progressbar.ProgressBar {
	options := []progressbar.Option{
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(task),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "#", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	}
	if total < 0 {
		// A spinner, which turns when something was read, and a count.
		options = append(options, progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(false))
	}
	return progressbar.NewOptions64(total, options...)
}

// clear removes the bar.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear() // the terminal may be gone
		p.bar = nil
	}
}

// countingReader passes the number of bytes read so far to onRead.
type countingReader struct {
	io.Reader

	n      int64
	onRead func(n int64)
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	r.onRead(r.n)
	return n, err
}
