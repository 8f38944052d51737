// Package eventstream writes streams of server-sent events (the HTML Standard, 9.2). It does not know what the events are.
package eventstream

import (
	"net/http"
	"time"

	"github.com/clientapps/clientapps/server/transport"
)

// MediaType is the media type of a stream.
const MediaType = "text/event-stream"

// Writer writes one stream. Its methods fail when the reader has disconnected, or a write has timed out.
type Writer struct{ out *transport.StreamingResponse }

// Start begins a stream, which may last longer than any other answer. A write that takes longer than the timeout, because
// nobody reads, breaks the connection. Nothing is sent before the first Flush.
func Start(w http.ResponseWriter, timeout time.Duration) (*Writer, error) {
	SetHeader(w.Header())
	out, err := transport.NewStreamingResponse(w, timeout)
	if err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	return &Writer{out}, nil
}

// SetHeader sets the header of a stream.
func SetHeader(header http.Header) {
	header.Set("Content-Type", MediaType)
	header.Set("X-Accel-Buffering", "no") // for proxies
}

// Event writes an event. A reader that was disconnected resumes after the id. Neither id nor data may contain a line break.
func (s *Writer) Event(id, event string, data []byte) error {
	b := make([]byte, 0, len(id)+len(event)+len(data)+32)
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), event...), '\n')
	b = append(append(append(b, "data: "...), data...), "\n\n"...)
	return s.write(b)
}

// Position writes the id to resume from, without an event.
func (s *Writer) Position(id string) error { return s.write([]byte("id: " + id + "\n\n")) }

func (s *Writer) write(b []byte) error {
	_, err := s.out.Write(b)
	return err
}

// Flush sends what was written.
func (s *Writer) Flush() error { return s.out.Flush() }
