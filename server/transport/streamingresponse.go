package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// StreamingResponse writes a response that lasts longer than the timeouts of the server. Each write has a timeout of its own: the methods fail
// when the reader has disconnected, or a write has timed out.
type StreamingResponse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// NewStreamingResponse prepares a response. Nothing is sent before the first Flush.
func NewStreamingResponse(w http.ResponseWriter, timeout time.Duration) (*StreamingResponse, error) {
	s := &StreamingResponse{w, http.NewResponseController(w), timeout}
	if err := errors.Join(s.control.SetReadDeadline(time.Time{}), s.control.SetWriteDeadline(time.Time{})); err != nil {
		return nil, fmt.Errorf("begin a streaming response: %w", err)
	}
	return s, nil
}

// Write implements io.Writer.
func (s *StreamingResponse) Write(b []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.w.Write(b)
}

// Flush sends what was written.
func (s *StreamingResponse) Flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	return s.control.Flush()
}

// LongBody gives a request more time than the timeouts of the server: for its body to arrive, and then for its response. At the end of
// the returned body the read deadline is removed.
func LongBody(w http.ResponseWriter, body io.Reader, arrive, answer time.Duration) (io.Reader, error) {
	control, now := http.NewResponseController(w), time.Now()
	if err := errors.Join(control.SetReadDeadline(now.Add(arrive)), control.SetWriteDeadline(now.Add(arrive+answer))); err != nil {
		return nil, fmt.Errorf("begin a long request: %w", err)
	}
	return &longBody{body, control}, nil
}

type longBody struct {
	io.Reader

	control *http.ResponseController
}

// Read removes the deadline at the end of the body: net/http reads on to detect a disconnect, and a timeout would cancel the request.
func (b *longBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // it was set before
	}
	return n, err
}
