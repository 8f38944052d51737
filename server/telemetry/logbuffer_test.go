package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// logOutput keeps each write that it gets, unless fails is set.
type logOutput struct {
	mu     sync.Mutex
	writes []string
	fails  bool
}

func (o *logOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails {
		return 0, errors.New("no space left on device")
	}
	o.writes = append(o.writes, string(p))
	return len(p), nil
}

func (o *logOutput) fail(fails bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fails = fails
}

// take returns the writes since the last call.
func (o *logOutput) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.writes = nil }()
	return o.writes
}

func (o *logOutput) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := o.take(); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%s: written %q, want %q", when, got, want)
	}
}

func write(t *testing.T, b *LogBuffer, line string) {
	t.Helper()
	if n, err := b.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Lines are written together, 100 ms after the first of them.
func TestLogBufferTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &logOutput{}
		b := NewLogBuffer(out)
		time.Sleep(time.Second)
		for range 3 { // the timer works more than once
			write(t, b, "first\n")
			time.Sleep(99 * time.Millisecond)
			write(t, b, "second\n")
			synctest.Wait()
			out.want(t, "after 99 ms")
			time.Sleep(time.Millisecond)
			synctest.Wait()
			out.want(t, "after 100 ms", "first\nsecond\n")
		}
	})
}

// A timer that was set for lines which are written already also holds for later ones.
func TestLogBufferTimeAfterFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &logOutput{}
		b := NewLogBuffer(out)
		write(t, b, "first\n")
		time.Sleep(50 * time.Millisecond)
		b.Flush()
		out.want(t, "flushed", "first\n")
		write(t, b, "second\n")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		out.want(t, "after 100 ms", "second\n")
		time.Sleep(time.Second)
		synctest.Wait()
		write(t, b, "third\n")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		out.want(t, "once more", "third\n")
	})
}

// 32 KiB are written at once, in writes of whole lines that other processes with the same pipe cannot interrupt.
func TestLogBufferSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &logOutput{}
		b := NewLogBuffer(out)
		var all strings.Builder
		for i := range 1000 {
			line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 300))
			all.WriteString(line)
			write(t, b, line)
		}
		long := strings.Repeat("y", 100_000) + "\n"
		write(t, b, long)
		all.WriteString(long)
		write(t, b, "last\n")
		all.WriteString("last\n")
		writes := out.take()
		if text := strings.Join(writes, ""); text != strings.TrimSuffix(all.String(), "last\n") {
			t.Errorf("%d bytes are written, of %d", len(text), all.Len())
		}
		for _, w := range writes {
			if !strings.HasSuffix(w, "\n") || len(w) > 4096 && w != long {
				t.Errorf("a write of %d bytes, up to %q", len(w), w[len(w)-10:])
			}
		}
		if len(writes) > 1000/10 {
			t.Errorf("%d writes", len(writes))
		}
		b.Close()
		out.want(t, "closed", "last\n")
		if c := cap(b.lines) + cap(b.spare); c != 2*logBufferSize {
			t.Errorf("keeps %d bytes", c)
		}
	})
}

// A warning or an error is written at once, after what came before it. So is what a derived logger writes.
func TestLogBufferFlushesWarnings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &logOutput{}
		b := NewLogBuffer(out)
		noTime := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}
		log := slog.New(Redact(FlushWarnings(slog.NewTextHandler(b, noTime), b)))
		log.Info("1")
		out.want(t, "info")
		log.Warn("2")
		out.want(t, "warning", "level=INFO msg=1\nlevel=WARN msg=2\n")
		log.Info("3")
		log.With("a", 1).WithGroup("g").Error("4", "b", 2)
		out.want(t, "error", "level=INFO msg=3\nlevel=ERROR msg=4 a=1 g.b=2\n")
		b.Close()
	})
}

// blockedOutput waits in its first write until it is released.
type blockedOutput struct {
	logOutput

	once              sync.Once
	entered, released chan struct{}
}

func (o *blockedOutput) Write(p []byte) (int, error) {
	o.once.Do(func() {
		close(o.entered)
		<-o.released
	})
	return o.logOutput.Write(p)
}

// While the output is blocked, lines are taken until 32 KiB wait, and then writers wait. Nothing is lost or reordered.
func TestLogBufferWaitsForItsOutput(t *testing.T) {
	t.Parallel()
	out := &blockedOutput{entered: make(chan struct{}), released: make(chan struct{})}
	b := NewLogBuffer(out)
	write(t, b, "first\n") // the timer writes it
	<-out.entered
	line := func(i int) string { return fmt.Sprintf("%03d%s\n", i, strings.Repeat("x", 296)) }
	const fit, lines = logBufferSize / 300, 400
	for i := range fit {
		write(t, b, line(i))
	}
	var done atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := fit; i < lines; i++ {
			write(t, b, line(i))
			done.Add(1)
		}
	})
	time.Sleep(50 * time.Millisecond)
	if n := done.Load(); n != 0 {
		t.Errorf("%d lines too many are taken", n)
	}
	close(out.released)
	writer.Wait()
	b.Close()
	want := "first\n"
	for i := range lines {
		want += line(i)
	}
	if got := strings.Join(out.take(), ""); got != want {
		t.Errorf("%d bytes are written, want %d", len(got), len(want))
	}
}

// A write that fails loses its lines only.
func TestLogBufferAfterFailure(t *testing.T) {
	t.Parallel()
	out := &logOutput{}
	b := NewLogBuffer(out)
	out.fail(true)
	write(t, b, "lost\n")
	b.Flush()
	out.fail(false)
	write(t, b, "kept\n")
	b.Close()
	out.want(t, "after a failure", "kept\n")
	write(t, b, "after Close\n")
	out.want(t, "after Close", "after Close\n")
	b.Close()
	out.want(t, "closed again")
}

// Lines of many writers stay whole, and those of each writer in order.
func TestLogBufferConcurrently(t *testing.T) {
	t.Parallel()
	out := &logOutput{}
	b := NewLogBuffer(out)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 2000 {
				write(t, b, fmt.Sprintf("%d %d\n", w, i))
				if i%100 == 0 {
					b.Flush()
				}
			}
		})
	}
	writers.Wait()
	b.Close()
	next := map[int]int{}
	for line := range strings.Lines(strings.Join(out.take(), "")) {
		var w, i int
		if n, err := fmt.Sscanf(line, "%d %d\n", &w, &i); n != 2 || err != nil || i != next[w] {
			t.Fatalf("line %q, want number %d: %v", line, next[w], err)
		}
		next[w]++
	}
	for w := range 8 {
		if next[w] != 2000 {
			t.Errorf("%d lines of writer %d", next[w], w)
		}
	}
}
