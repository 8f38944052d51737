package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// fillBody repeats a text until the body has its largest size, then ends it.
func fillBody(begin, repeated, end string) []byte {
	n := (maxBody - len(begin) - len(end)) / len(repeated)
	return []byte(begin + strings.Repeat(repeated, n) + end)
}

// manyValues returns a body with as many values as are allowed. The text contains perText of them.
func manyValues(repeated string, nodes int) []byte {
	return []byte(`{"x":[` + strings.Repeat(repeated, (schemas.MaxNodes-10)/nodes) + `0]}`)
}

// The memory reserved for a body is enough for what is decoded of it, whatever the body.
func TestBodyMemoryIsEnough(t *testing.T) {
	all := func(string) bool { return true }
	for name, body := range map[string][]byte{
		"objects with a field":   manyValues(`{"":300},`, 3),
		"objects with two":       manyValues(`{"":300,"a":1.5},`, 5),
		"objects with nine":      manyValues(`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":300},`, 19),
		"empty objects":          manyValues(`{},`, 1),
		"empty arrays":           manyValues(`[],`, 1),
		"arrays in arrays":       manyValues(`[[[[0]]]],`, 5),
		"small texts":            manyValues(`"ab",`, 1),
		"fractions":              manyValues(`1.5,`, 1),
		"names":                  []byte(`{` + joinedNames(9000, `":1,"`) + `:1}`),
		"one text":               fillBody(`{"x":"`, `a`, `"}`),
		"one text of escapes":    fillBody(`{"x":"`, `\n`, `"}`),
		"one text of code units": fillBody(`{"x":"`, `\u20ac`, `"}`),
		"one number":             fillBody(`{"x":`, `1`, `}`),
		"one fraction":           fillBody(`{"x":0.`, `1`, `}`),
		"one exponent":           fillBody(`{"x":1e`, `1`, `}`),
		"long texts":             fillBody(`{"x":[`, `"`+strings.Repeat("a", 100)+`",`, `0]}`),
	} {
		before := liveHeap()
		doc, err := strictjson.Parse(body, strictjson.Options{MaxNodes: schemas.MaxNodes, Keep: all})
		took := liveHeap() - before
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d KiB, of which %d nodes, decoded %d KiB, reserved %d KiB", name, len(body)>>10, doc.Nodes, took>>10, maxBodyMemory(int64(len(body)))>>10)
		if need := took + int64(len(body)); need > capacity.BodyMemory(int64(len(body)), doc.Nodes) || need > maxBodyMemory(int64(len(body))) {
			t.Errorf("%s: %d nodes in %d bytes take %d", name, doc.Nodes, len(body), need)
		}
		runtime.KeepAlive(doc)
		runtime.KeepAlive(body)
	}
}

// joinedNames returns n names with a separator between them.
func joinedNames(n int, between string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range n {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}).String()[:8])
	}
	b.WriteByte('"')
	return b.String()
}

// liveHeap returns the bytes of live objects.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A value that is not kept is not built: 150,000 objects behind an unknown name allocate almost nothing.
func TestDroppedValuesCostNothing(t *testing.T) {
	none := func(string) bool { return false }
	for name, body := range map[string][]byte{
		"objects": fillBody(`{"x":[`, `{"":0},`, `0]}`),
		"arrays":  fillBody(`{"x":[`, `[],`, `0]}`),
		"numbers": fillBody(`{"x":[`, `1.25,`, `0]}`),
		"texts":   fillBody(`{"x":[`, `"\u20acabc",`, `0]}`),
		"a text":  fillBody(`{"x":"`, `\u20ac`, `"}`),
	} {
		doc, err := strictjson.Parse(body, strictjson.Options{Keep: none})
		if err != nil || !doc.Dropped {
			t.Errorf("%s: %+v %v", name, doc, err)
		}
		got := testing.AllocsPerRun(1, func() { _, _ = strictjson.Parse(body, strictjson.Options{Keep: none}) })
		if got > 20 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// shareOfMemory is what one token may reserve, in bytes: enough for the largest body.
const shareOfMemory = 64 << 20

// reserved reports whether a token has reserved exactly this many bytes: the rest of its share can be reserved, and nothing more.
func reserved(m *capacity.Memory, token uuid.UUID, bytes int64) bool {
	fits := func(bytes int64) bool {
		if m.Reserve(token, bytes) != nil {
			return false
		}
		m.Release(token, bytes)
		return true
	}
	left := shareOfMemory - bytes
	return fits(left) && !fits(left+1)
}

// While a handler runs, its request has the memory of its body reserved. After the request nothing is reserved, even if it
// failed.
func TestBodyMemoryOfARequest(t *testing.T) {
	t.Parallel()
	database := storetest.Open(t, storetest.SQLite(t))
	if err := database.Seed(t.Context(), storetest.Page()); err != nil {
		t.Fatal(err)
	}
	secret, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	token, err := database.CreateToken(t.Context(), nil, secret, store.Token{Name: "x", AllClients: true, Scopes: "apps:write"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Store: database, Logger: slog.New(slog.DiscardHandler), BodyMemory: 4 * shareOfMemory})
	if err != nil {
		t.Fatal(err)
	}
	operations, err := readOperations()
	if err != nil {
		t.Fatal(err)
	}
	thousand := `{"app_ids":[` + strings.Repeat(`"`+storetest.AppID.String()+`",`, 999) + `"` + storetest.AppID.String() + `"]}`
	for name, request := range map[string]struct {
		body    string
		chunked bool
		want    int64 // while the handler runs
		refused bool
	}{
		"small":                     {body: `{"app_ids":["` + storetest.AppID.String() + `"]}`},
		"a thousand ids":            {body: thousand, want: capacity.BodyMemory(int64(len(thousand)), 1003)},
		"a thousand ids, in chunks": {body: thousand, chunked: true, want: capacity.BodyMemory(int64(len(thousand)), 1003)},
		"spaces":                    {body: thousand + strings.Repeat(" ", maxBody-len(thousand)), want: capacity.BodyMemory(maxBody, 1003)},
		"refused":                   {body: `{"x":[` + strings.Repeat("0,", 5000) + `0]}`, refused: true},
		"too large":                 {body: strings.Repeat(" ", maxBody+1), refused: true},
		"too large, in chunks":      {body: strings.Repeat(" ", maxBody+1), chunked: true, refused: true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.NopCloser(strings.NewReader(request.body)))
		r.ContentLength = int64(len(request.body))
		if request.chunked {
			r.ContentLength = -1
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+secret)
		r = r.WithContext(context.WithValue(r.Context(), requestStateKey{}, &requestState{url: r.URL}))
		c := s.router.NewContext(r, httptest.NewRecorder())
		c.SetParamNames("client_id")
		c.SetParamValues(storetest.ClientID.String())
		called := false
		err := s.guard(operations["approveApps"])(func(echo.Context) error {
			called = true
			if !reserved(s.bodyMemory, token.ID, request.want) {
				t.Errorf("%s: the handler does not hold %d", name, request.want)
			}
			return nil
		})(c)
		if (err != nil) != request.refused || called == request.refused {
			t.Errorf("%s: %v", name, err)
		}
		if !reserved(s.bodyMemory, token.ID, 0) {
			t.Errorf("%s: memory is left reserved", name)
		}
	}
}
