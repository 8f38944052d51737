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
// and in order. Whoever writes while 32 KiB wait and the output is blocked waits too. A write that fails loses its lines, and no later
// ones. Its methods may be called concurrently.
type LogBuffer struct {
	writing sync.Mutex // held while out is written to; locked before mu
	out     io.Writer
	written []byte // the buffer that is not in use, empty

	mu     sync.Mutex
	lines  []byte // at most logBufferSize bytes, or one longer line
	timer  *time.Timer
	armed  bool // the timer will call Flush
	closed bool
}

// NewLogBuffer returns a buffer before out.
func NewLogBuffer(out io.Writer) *LogBuffer {
	b := &LogBuffer{out: out, lines: make([]byte, 0, logBufferSize), written: make([]byte, 0, logBufferSize)}
	b.timer = time.AfterFunc(logBufferTime, b.flushLate)
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
	now := b.closed || len(b.lines) >= logBufferSize
	b.mu.Unlock()
	if now {
		b.Flush()
	}
	return len(lines), nil
}

// flushLate is called by the timer.
func (b *LogBuffer) flushLate() {
	b.mu.Lock()
	b.armed = false
	b.mu.Unlock()
	b.Flush()
}

// Flush writes the lines that wait. When it returns, every line that was there before is written, or could not be.
func (b *LogBuffer) Flush() {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	lines := b.lines
	b.lines = b.written
	b.mu.Unlock()
	for rest := lines; len(rest) > 0; {
		n := endOfLine(rest)
		_, _ = b.out.Write(rest[:n]) // nobody could be told that the log cannot be written
		rest = rest[n:]
	}
	if cap(lines) > logBufferSize { // there was a longer line: its memory is not kept
		lines = make([]byte, 0, logBufferSize)
	}
	b.written = lines[:0]
}

// endOfLine returns the length of the lines at the start of text that are written together.
func endOfLine(text []byte) int {
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
func FlushWarnings(h slog.Handler, b *LogBuffer) slog.Handler { return flushing{h, b} }

type flushing struct {
	slog.Handler

	buffer *LogBuffer
}

// Handle implements slog.Handler.
func (h flushing) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.buffer.Flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h flushing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushing{h.Handler.WithAttrs(attrs), h.buffer}
}

// WithGroup implements slog.Handler.
func (h flushing) WithGroup(name string) slog.Handler {
	return flushing{h.Handler.WithGroup(name), h.buffer}
}
