package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logBufferSize = 32 << 10               // bytes of lines that wait to be written
	logBufferTime = 100 * time.Millisecond // how long a line waits at most
	// logWriteSize bounds a write, unless one line is longer. Linux does not mix a write of at most PIPE_BUF bytes with those of
	// another process that has the same pipe.
	logWriteSize = 4096
)

// LogBuffer gathers log lines and writes them together: 100 ms after the first of them, or when they are 32 KiB. Lines stay whole
// and in order. Write blocks while the buffer is full and the output is blocked. A failed write to the output loses its lines, but no
// later ones. The methods may be called concurrently.
type LogBuffer struct {
	writeMu sync.Mutex // held while out is written to; locked before mu
	out     io.Writer
	spare   []byte // the empty buffer that Flush swaps with lines

	mu     sync.Mutex
	lines  []byte // at most logBufferSize bytes, or one longer line
	timer  *time.Timer
	armed  bool // the timer will call Flush
	closed bool
}

// NewLogBuffer returns a buffer before out.
func NewLogBuffer(out io.Writer) *LogBuffer {
	b := &LogBuffer{out: out, lines: make([]byte, 0, logBufferSize), spare: make([]byte, 0, logBufferSize)}
	b.timer = time.AfterFunc(logBufferTime, b.flushOnTimer)
	b.timer.Stop()
	return b
}

// Write takes one or more whole lines. Its error is always nil, since the lines are written later.
func (b *LogBuffer) Write(lines []byte) (int, error) {
	b.mu.Lock()
	for len(b.lines) > 0 && len(b.lines)+len(lines) > logBufferSize {
		b.mu.Unlock()
		b.Flush()
		b.mu.Lock()
	}
	if len(b.lines) == 0 && !b.armed && !b.closed {
		b.armed = true
		b.timer.Reset(logBufferTime)
	}
	b.lines = append(b.lines, lines...)
	flushNow := b.closed || len(b.lines) >= logBufferSize
	b.mu.Unlock()
	if flushNow {
		b.Flush()
	}
	return len(lines), nil
}

// flushOnTimer flushes when a line has waited for logBufferTime. The timer calls it.
func (b *LogBuffer) flushOnTimer() {
	b.mu.Lock()
	b.armed = false
	b.mu.Unlock()
	b.Flush()
}

// Flush writes the lines that wait. When it returns, the write of every earlier line has succeeded or failed.
func (b *LogBuffer) Flush() {
	b.writeMu.Lock()
	defer b.writeMu.Unlock()
	b.mu.Lock()
	lines := b.lines
	b.lines = b.spare
	b.mu.Unlock()
	for rest := lines; len(rest) > 0; {
		n := writeLength(rest)
		_, _ = b.out.Write(rest[:n]) // there is no other place to report the error
		rest = rest[n:]
	}
	if cap(lines) > logBufferSize { // there was a longer line: its memory is not kept
		lines = make([]byte, 0, logBufferSize)
	}
	b.spare = lines[:0]
}

// writeLength returns the length of the lines at the start of text that are written together.
func writeLength(text []byte) int {
	if len(text) <= logWriteSize {
		return len(text)
	}
	if end := bytes.LastIndexByte(text[:logWriteSize], '\n'); end >= 0 {
		return end + 1
	}
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		return end + 1
	}
	return len(text)
}

// Close writes the lines that wait. Later lines are written at once: a program that ends may still log. It does not close the output,
// and may be called more than once.
func (b *LogBuffer) Close() {
	b.mu.Lock()
	b.closed = true
	b.timer.Stop()
	b.mu.Unlock()
	b.Flush()
}

// FlushWarnings returns a handler that flushes the buffer after each line of level warning or above. h must write to the buffer.
func FlushWarnings(h slog.Handler, b *LogBuffer) slog.Handler { return flushingHandler{h, b} }

type flushingHandler struct {
	slog.Handler

	buffer *LogBuffer
}

// Handle implements slog.Handler.
func (h flushingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.buffer.Flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h flushingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushingHandler{h.Handler.WithAttrs(attrs), h.buffer}
}

// WithGroup implements slog.Handler.
func (h flushingHandler) WithGroup(name string) slog.Handler {
	return flushingHandler{h.Handler.WithGroup(name), h.buffer}
}
