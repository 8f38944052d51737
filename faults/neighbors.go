package faults

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// NoisyClient is a client that attacks a server in every way that has ever made other clients wait, all at once. It uses its own token
// and only writes to its own apps.
type NoisyClient struct {
	Fixture *Fixture
	API     *API  // with the token of the client below
	Apps    []App // all of one client; the first stays locked
	Catalog *API  // also writes to the catalog, as an administrator would; may be nil

	mu      sync.Mutex
	answers map[string]int
}

// The number of concurrent requests of each kind. Kinds that cost the sender much pause longer between requests: sender, server and
// database share one machine, and the test is about waiting for others, not about a full machine.
const (
	hugeBodies    = 64
	lockedBulks   = 24
	lockedPatches = 32
	ifMatches     = 4
	unknownTokens = 200

	costlyPause = time.Second
)

// Run sends all kinds of requests until ctx ends. With lock a transaction holds the row of the first app meanwhile. Only PostgreSQL
// can do that: a writer of SQLite locks the whole file.
func (n *NoisyClient) Run(ctx context.Context, lock bool) error {
	if lock {
		release, err := n.Fixture.lockApp(ctx, n.Apps[0])
		if err != nil {
			return err
		}
		defer release()
	}
	var senders sync.WaitGroup
	repeat := func(count int, between time.Duration, send func(ctx context.Context, i int) answer) {
		for i := range count {
			senders.Go(func() {
				pause(ctx, between*time.Duration(i)/time.Duration(count)) // spreads the requests over time
				for round := 0; ctx.Err() == nil; round++ {
					a := send(ctx, i+round*count)
					n.record(a)
					pause(ctx, between)
				}
			})
		}
	}
	huge := hugeBodiesOf(n.Apps[0])
	repeat(hugeBodies, costlyPause, func(ctx context.Context, i int) answer {
		body := huge[i%len(huge)]
		return n.API.send(ctx, body.method, body.path, body.text, "")
	})
	ids := make([]string, len(n.Apps))
	for i, app := range n.Apps {
		ids[i] = `"` + app.ID + `"`
	}
	all := `{"app_ids":[` + strings.Join(ids, ",") + `]}`
	repeat(lockedBulks, backoff, func(ctx context.Context, i int) answer {
		path := []string{"/approval", "/approval/reject", "/favorites", "/favorites/remove"}[i%4]
		return n.API.send(ctx, http.MethodPost, "/v2/clients/"+n.Apps[0].Client+"/apps"+path, all, "")
	})
	repeat(lockedPatches, backoff, func(ctx context.Context, i int) answer {
		app := n.Apps[i%lockedPatches%len(n.Apps)]
		return n.API.send(ctx, http.MethodPatch, app.path(), fmt.Sprintf(`{"license_count":%d}`, i), "")
	})
	repeat(ifMatches, backoff, func(ctx context.Context, i int) answer {
		app := n.Apps[0]
		seen := n.API.send(ctx, http.MethodGet, app.path(), "", "")
		return n.API.send(ctx, http.MethodPatch, app.path(), fmt.Sprintf(`{"license_count":%d}`, i), "", "If-Match: "+seen.header.Get("ETag"))
	})
	repeat(unknownTokens, costlyPause, func(ctx context.Context, _ int) answer {
		unknown := *n.API
		unknown.Token = unknownToken()
		return unknown.send(ctx, http.MethodGet, n.Apps[0].path(), "", "")
	})
	if n.Catalog != nil {
		repeat(1, backoff, func(ctx context.Context, i int) answer {
			return n.Catalog.send(ctx, http.MethodPost, "/v2/catalog-categories", fmt.Sprintf(`{"name":"Category %d %d"}`, i, time.Now().UnixNano()), "")
		})
	}
	senders.Wait()
	return nil
}

func (n *NoisyClient) record(a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = map[string]int{}
	}
	n.answers[a.class()]++
}

// Answers returns the number of its requests by class of answer.
func (n *NoisyClient) Answers() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := map[string]int{}
	for class, times := range n.answers {
		answers[class] = times
	}
	return answers
}

type hugeBody struct{ method, path, text string }

// hugeBodiesOf returns bodies of just below 1 MiB, which are expensive for a careless parser or validator.
func hugeBodiesOf(app App) []hugeBody {
	const size = 1<<20 - 100
	fill := func(head, each string) string {
		return head + strings.Repeat(each+",", (size-len(head))/(len(each)+1)-1) + each + `]}`
	}
	var unknown strings.Builder
	unknown.WriteString(`{"a":0`)
	for i := 0; unknown.Len() < size; i++ {
		fmt.Fprintf(&unknown, `,"b%d":0`, i)
	}
	unknown.WriteByte('}')
	bulk := "/v2/clients/" + app.Client + "/apps/favorites"
	return []hugeBody{
		{http.MethodPatch, app.path(), fill(`{"x":[`, `{"":0}`)},
		{http.MethodPatch, app.path(), unknown.String()},
		{http.MethodPatch, app.path(), fill(`{"license_count":[`, `[]`)},
		{http.MethodPost, bulk, fill(`{"app_ids":[`, `0`)},
		{http.MethodPost, bulk, fill(`{"app_ids":[`, `[{"":{}}]`)},
	}
}

// unknownToken returns a random text with the form and the checksum of a token.
func unknownToken() string {
	const base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	body := fmt.Sprintf("capp_%043s", new(big.Int).SetBytes(raw[:]).Text(62))
	sum, checksum := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := range checksum {
		checksum[len(checksum)-1-i] = base62[sum%62]
		sum /= 62
	}
	return body + string(checksum)
}

// lockApp locks an app's row in a transaction until release.
func (f *Fixture) lockApp(ctx context.Context, app App) (release func(), err error) {
	db, err := f.open()
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, "SELECT FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", app.Client, app.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("lock app: %w", err)
	}
	return func() { _ = tx.Rollback(); _ = db.Close() }, nil
}

// QuietClient reads and writes its own apps at a moderate pace. A noisy client must not disturb it.
type QuietClient struct {
	API    *API
	Apps   []App
	Ledger *Ledger

	mu   sync.Mutex
	took []time.Duration
}

// quietPace is the pause between two rounds of one caller.
const quietPace = 10 * time.Millisecond

// Run sends GETs, PATCHes and PATCHes with If-Match until ctx ends, from four callers at once.
func (n *QuietClient) Run(ctx context.Context) {
	var senders sync.WaitGroup
	for caller := range 4 {
		senders.Go(func() {
			app := n.Apps[caller]
			for i := 0; ctx.Err() == nil; i++ {
				n.send(http.MethodPatch, app.path(), fmt.Sprintf(`{"license_count":%d}`, i))
				seen := n.send(http.MethodGet, app.path(), "")
				if i%4 == 0 && seen.status == http.StatusOK {
					n.send(http.MethodPatch, app.path(), `{"license_count":null}`, "If-Match: "+seen.header.Get("ETag"))
				}
				pause(ctx, quietPace)
			}
		})
	}
	senders.Wait()
}

func (n *QuietClient) send(method, path, body string, header ...string) answer {
	a := n.API.send(context.Background(), method, path, body, "", header...)
	n.Ledger.record(method+" "+path, nil, a)
	n.mu.Lock()
	n.took = append(n.took, a.took)
	n.mu.Unlock()
	return a
}

// Percentile returns the time within which a share of the requests (0 to 1) was answered.
func (n *QuietClient) Percentile(share float64) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.took) == 0 {
		return 0
	}
	took := slices.Sorted(slices.Values(n.took))
	return took[min(len(took)-1, int(share*float64(len(took))))]
}
