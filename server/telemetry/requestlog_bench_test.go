package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
)

// BenchmarkLogRequest measures the log line of a patch, in both formats, without the write.
func BenchmarkLogRequest(b *testing.B) {
	for format, handler := range map[string]slog.Handler{
		"json": slog.NewJSONHandler(io.Discard, nil), "text": slog.NewTextHandler(io.Discard, nil),
	} {
		b.Run(format, func(b *testing.B) {
			o, err := New(Config{Log: slog.New(Redact(handler))})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPatch,
				"/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890", nil)
			x := &Request{
				ID: "3f0c1d52-6e1f-4c55-9e0a-5d1d8b2f7a10", Operation: o.Operation("updateApp", http.MethodPatch, "/route", nil),
				TokenID: uuid.MustParse("b2a7cf84-9ca9-46a3-9778-9015d6580d50"), Status: http.StatusOK,
			}
			ended := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				o.logRequest(r, x, ended, time.Millisecond)
			}
		})
	}
}
