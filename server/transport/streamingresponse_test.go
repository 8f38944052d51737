package transport_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/transport"
)

// stream starts a server whose own timeout is over before the first write, and returns the body of one response.
func stream(t *testing.T, writeTimeout time.Duration, write func(*transport.StreamingResponse) error) (body io.ReadCloser, result <-chan error) {
	t.Helper()
	results := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out, err := transport.NewStreamingResponse(w, writeTimeout)
		if err == nil {
			err = errors.Join(out.Flush(), write(out))
		}
		results <- err
	}))
	server.Config.WriteTimeout = time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response.Body, results
}

// TestStreamingResponseStalls has a reader that takes nothing: the response ends when one write has waited for its timeout.
func TestStreamingResponseStalls(t *testing.T) {
	t.Parallel()
	_, result := stream(t, 100*time.Millisecond, func(out *transport.StreamingResponse) error {
		for {
			if _, err := out.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestStreamingResponseLasts writes for longer than the timeout of the server, and of one write: nothing is cut off.
func TestStreamingResponseLasts(t *testing.T) {
	t.Parallel()
	const writeTimeout = 2 * time.Second
	body, result := stream(t, writeTimeout, func(out *transport.StreamingResponse) error {
		for range 5 {
			time.Sleep(writeTimeout / 4)
			if _, err := io.WriteString(out, "line\n"); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		return nil
	})
	text, err := io.ReadAll(body)
	if string(text) != "line\nline\nline\nline\nline\n" || err != nil {
		t.Errorf("%q: %v", text, err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestStreamingResponseEnds has a reader that disconnects.
func TestStreamingResponseEnds(t *testing.T) {
	t.Parallel()
	body, result := stream(t, time.Minute, func(out *transport.StreamingResponse) error {
		for {
			if err := out.Flush(); err != nil {
				return err
			}
			if _, err := io.WriteString(out, "line\n"); err != nil {
				return err
			}
		}
	})
	_ = body.Close()
	if err := <-result; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
