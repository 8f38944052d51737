package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// backoff is how long a client waits after a refusal. It is shorter than Retry-After, for more load.
const backoff = 50 * time.Millisecond

// Load runs clients that write and read, and record the answers in a ledger.
type Load struct {
	Fixture  *Fixture
	API      *API
	Ledger   *Ledger
	Writers  int
	Pace     time.Duration // pause between two requests of one writer
	Sequence *atomic.Int64 // number of the last write, unique in a database

	BulkFrom int // the first app of each client to write in bulk: loads at the same time must not write the same ones
}

// bulkApps is the number of apps per client that only the bulk writer writes.
const bulkApps = 20

// Run sends requests until ctx ends. It waits for the answers of requests in flight.
func (l Load) Run(ctx context.Context) {
	var writers sync.WaitGroup
	for i := range l.Writers {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // reproducible, not secret
			for ctx.Err() == nil {
				if a := l.sendOne(i, random); a.status != http.StatusOK {
					pause(ctx, backoff)
				}
				pause(ctx, l.Pace)
			}
		})
	}
	writers.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	if d > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
}

// sendOne sends one request. The first writers, one per client, write in bulk. The others read and patch shared apps.
func (l Load) sendOne(writer int, random *rand.Rand) answer {
	perClient := len(l.Fixture.Apps) / clientCount
	if writer < clientCount {
		return l.bulk(l.Fixture.Apps[writer*perClient+l.BulkFrom:][:bulkApps])
	}
	app := l.Fixture.Apps[random.IntN(clientCount)*perClient+bulkApps+random.IntN(perClient-bulkApps)]
	switch random.IntN(10) {
	case 0:
		return l.read(app, random)
	case 1:
		return l.patchIfMatch(app)
	}
	return l.patch(app, random)
}

func (l Load) patch(app App, random *rand.Rand, header ...string) answer {
	n := l.Sequence.Add(1)
	body := fmt.Sprintf(`{"license_count":%d,"is_favorite":%t}`, n, random.IntN(2) == 0)
	return l.write(http.MethodPatch, app.path(), body, "", Entry{Field: "license_count", Value: fmt.Sprint(n), Changes: 1}, header...)
}

func (l Load) patchIfMatch(app App) answer {
	seen := l.API.send(context.Background(), http.MethodGet, app.path(), "", "")
	l.Ledger.record(app.ID, nil, seen)
	if seen.status != http.StatusOK {
		return seen
	}
	n := l.Sequence.Add(1)
	return l.write(http.MethodPatch, app.path(), fmt.Sprintf(`{"license_count":%d}`, n), "",
		Entry{Field: "license_count", Value: fmt.Sprint(n), Changes: 1}, "If-Match: "+seen.header.Get("ETag"))
}

// bulk inverts the approval of apps, which nobody else writes.
func (l Load) bulk(apps []App) answer {
	seen := l.API.send(context.Background(), http.MethodGet, apps[0].path(), "", "")
	l.Ledger.record(apps[0].ID, nil, seen)
	if seen.status != http.StatusOK {
		return seen
	}
	approve, path := strings.Contains(seen.body, `"is_approved":false`), "/approval/reject"
	if approve {
		path = "/approval"
	}
	ids := make([]string, len(apps))
	for i, a := range apps {
		ids[i] = `"` + a.ID + `"`
	}
	return l.write(http.MethodPost, "/v2/clients/"+apps[0].Client+"/apps"+path, `{"app_ids":[`+strings.Join(ids, ",")+`]}`,
		"bulk-", Entry{Field: "is_approved", Value: fmt.Sprint(approve), Changes: len(apps)})
}

func (l Load) write(method, path, body, prefix string, e Entry, header ...string) answer {
	id := prefix + e.Value
	if prefix != "" {
		id = fmt.Sprintf("%s%d", prefix, l.Sequence.Add(1))
	}
	a := l.API.send(context.Background(), method, path, body, id, header...)
	l.Ledger.record(id, &e, a)
	return a
}

func (l Load) read(app App, random *rand.Rand) answer {
	path := []string{
		app.path(), "/v2/clients/" + app.Client + "/apps?page_size=20&sort_by=updated_at", app.path() + "/changes?page_size=5",
		"/v2/catalog-apps?page_size=5", "/v2/clients/" + app.Client,
	}[random.IntN(5)]
	a := l.API.send(context.Background(), http.MethodGet, path, "", "")
	l.Ledger.record(path, nil, a)
	return a
}

func (a App) path() string { return "/v2/clients/" + a.Client + "/apps/" + a.ID }
