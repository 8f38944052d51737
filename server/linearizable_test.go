package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// counter is an app whose license_count only grows, and what is known of it.
type counter struct {
	path                string
	begun, acknowledged atomic.Int64 // the last value that was sent, and the last that was answered
	tags                sync.Map     // ETag -> value
}

// TestReadsAreLinearizable writes growing numbers to apps through two servers on one database, while many clients read them through both. A
// read never shows less than what was acknowledged before it was sent, nor more than what was sent before it was answered: with and
// without If-None-Match, and as a patch that changes nothing.
func TestReadsAreLinearizable(t *testing.T) {
	t.Parallel()
	const values, readers = 60, 12
	storetest.EachParallel(t, func(t *testing.T, url string) {
		servers := []*servertest.Server{servertest.New(t, url), servertest.New(t, url)}
		apps := []*counter{{path: appPath}, {path: fmt.Sprintf("/v2/clients/%s/apps/%s", storetest.OtherClientID, storetest.OtherAppID)}}
		for _, app := range apps {
			app.write(t, servers[0], 0)
		}
		var writing, reading sync.WaitGroup
		var done atomic.Bool
		for i, app := range apps {
			writing.Go(func() {
				for value := int64(1); value <= values; value++ {
					app.write(t, servers[(int(value)+i)%2], value)
				}
			})
		}
		for n := range readers {
			reading.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), 1))
				tag := map[*counter]string{}
				for !done.Load() && !t.Failed() {
					app := apps[random.IntN(len(apps))]
					tag[app] = app.read(t, servers[random.IntN(2)], random.IntN(3), tag[app])
				}
			})
		}
		writing.Wait()
		done.Store(true)
		reading.Wait()
	})
}

func (c *counter) write(t *testing.T, s *servertest.Server, value int64) {
	t.Helper()
	c.begun.Store(value)
	got := s.Patch(t, c.path, fmt.Sprintf(`{"license_count":%d}`, value))
	if got.Status != http.StatusOK {
		t.Errorf("value %d: %d %s", value, got.Status, got.Body)
		return
	}
	c.tags.Store(got.Header.Get("ETag"), value)
	c.acknowledged.Store(value)
}

// read reads the app in one of three ways, and returns its tag.
func (c *counter) read(t *testing.T, s *servertest.Server, way int, tag string) string {
	t.Helper()
	request := servertest.Request{Method: http.MethodGet, Target: c.path}
	switch {
	case way == 1 && tag != "":
		request.Header = []string{"If-None-Match: " + tag}
	case way == 2:
		request.Method, request.Body = http.MethodPatch, "{}"
	}
	least := c.acknowledged.Load()
	got := s.Send(t, request)
	most := c.begun.Load()
	value := int64(-1)
	switch got.Status {
	case http.StatusOK:
		var app gen.App
		if err := json.Unmarshal([]byte(got.Body), &app); err == nil && app.LicenseCount != nil {
			value = int64(*app.LicenseCount)
		}
		c.tags.Store(got.Header.Get("ETag"), value)
	case http.StatusNotModified:
		known, _ := c.tags.Load(got.Header.Get("ETag"))
		value, _ = known.(int64)
	}
	if value < least || value > most {
		t.Errorf("%s %v: %d, value %d, want %d to %d", request.Method, request.Header, got.Status, value, least, most)
	}
	return got.Header.Get("ETag")
}
