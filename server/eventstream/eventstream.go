// Package eventstream writes streams of server-sent events (the HTML Standard, 9.2). It does not know what the events are.
package eventstream

import (
	"fmt"
	"net/http"
	"time"
)

// MediaType is that of a stream.
const MediaType = "text/event-stream"

// Writer writes one stream. Its methods fail when the reader has gone, or has not read for too long.
type Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// Start begins a stream, which may last longer than any other answer. A write that takes longer than the timeout, because
// nobody reads, breaks the connection. Nothing is sent before the first Flush.
func Start(w http.ResponseWriter, timeout time.Duration) (*Writer, error) {
	s := &Writer{w, http.NewResponseController(w), timeout}
	SetHeader(w.Header())
	if err := s.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("start a stream: %w", err)
	}
	w.WriteHeader(http.StatusOK)
	return s, nil
}

// SetHeader sets the header of a stream.
func SetHeader(header http.Header) {
	header.Set("Content-Type", MediaType)
	header.Set("X-Accel-Buffering", "no") // for proxies
}

// Event writes an event. The id, which must not have line ends, is what a reader that was cut off resumes from. data is one line.
func (s *Writer) Event(id, event string, data []byte) error {
	b := make([]byte, 0, len(id)+len(event)+len(data)+32)
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), event...), '\n')
	b = append(append(append(b, "data: "...), data...), "\n\n"...)
	return s.write(b)
}

// Position writes what to resume from, without an event.
func (s *Writer) Position(id string) error { return s.write([]byte("id: " + id + "\n\n")) }

func (s *Writer) write(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.w.Write(b)
	return err
}

// Flush sends what was written.
func (s *Writer) Flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	return s.control.Flush()
}
