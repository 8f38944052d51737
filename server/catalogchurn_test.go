package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// churn is the state that the goroutines of TestCatalogChurn share.
type churn struct {
	servers [2]*servertest.Client  // on one database
	latest  atomic.Pointer[string] // the path of the app that was added last
	client  *http.Client
	sent    atomic.Int64
	number  atomic.Int64
	written sync.Map // request ids of patches that were answered 200

	mu       sync.Mutex
	statuses map[string]int // by operation
}

// send sends a request and fails the test on a 5xx answer. It checks every tenth answer against the contract: checking all of
// them would take most of the time of this test.
func (c *churn) send(t *testing.T, server int, what string, r servertest.Request) *servertest.Response {
	t.Helper()
	var answer *servertest.Response
	if as := c.servers[server]; c.sent.Add(1)%10 == 0 {
		answer = as.Send(t, r)
	} else {
		answer = c.sendUnchecked(t, as, r)
	}
	if answer.Status >= http.StatusInternalServerError {
		t.Errorf("%s: %d %s", what, answer.Status, answer.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[fmt.Sprintf("%s %d", what, answer.Status)]++
	return answer
}

func (c *churn) sendUnchecked(t *testing.T, as *servertest.Client, r servertest.Request) *servertest.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), r.Method, as.URL+r.Target, strings.NewReader(r.Body))
	if err != nil {
		t.Error(err)
		return &servertest.Response{}
	}
	request.Header.Set("Authorization", "Bearer "+as.Token)
	request.Header.Set("Content-Type", "application/json")
	for _, line := range r.Header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := c.client.Do(request)
	if err != nil {
		t.Error(err)
		return &servertest.Response{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return &servertest.Response{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

func (c *churn) post(t *testing.T, server int, target, body string) (id string) {
	t.Helper()
	answer := c.send(t, server, "POST", servertest.Request{Method: http.MethodPost, Target: target, Body: body})
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &made); err != nil || answer.Status != http.StatusCreated {
		t.Errorf("POST %s: %d %s", target, answer.Status, answer.Body)
	}
	return made.ID
}

// addAndDelete creates a catalog app, adds it for the client, and deletes both while other goroutines use the app.
func (c *churn) addAndDelete(t *testing.T, server int) {
	t.Helper()
	n := c.number.Add(1)
	entry := c.post(t, server, "/v2/catalog-apps", fmt.Sprintf(`{"canonical_name":"Fleeting %d"}`, n))
	app := c.post(t, server, clientPath+"/apps", fmt.Sprintf(`{"catalog_app_id":%q}`, entry))
	c.latest.Store(&app)
	var using sync.WaitGroup
	defer using.Wait()
	for n := range 6 {
		using.Go(func() {
			if n < 3 {
				c.patch(t, n%2, app)
			}
			c.get(t, n%2, app)
		})
	}
	for _, target := range []string{clientPath + "/apps/" + app, "/v2/catalog-apps/" + entry} {
		r := servertest.Request{Method: http.MethodDelete, Target: target}
		if answer := c.send(t, server, "DELETE", r); answer.Status != http.StatusNoContent {
			t.Errorf("DELETE %s: %d %s", target, answer.Status, answer.Body)
		}
	}
}

func (c *churn) get(t *testing.T, server int, app string) {
	t.Helper()
	answer := c.send(t, server, "GET", servertest.Request{Method: http.MethodGet, Target: clientPath + "/apps/" + app})
	if answer.Status != http.StatusOK && answer.Status != http.StatusNotFound {
		t.Errorf("GET: %d %s", answer.Status, answer.Body)
	}
}

// patch gives an app a license count that it has not had.
func (c *churn) patch(t *testing.T, server int, app string) {
	t.Helper()
	n := c.number.Add(1)
	request := fmt.Sprintf("churn-%d", n)
	answer := c.send(t, server, "PATCH", servertest.Request{
		Method: http.MethodPatch, Target: clientPath + "/apps/" + app,
		Header: []string{"X-Request-Id: " + request}, Body: fmt.Sprintf(`{"license_count":%d}`, n),
	})
	switch answer.Status {
	case http.StatusOK:
		c.written.Store(request, true)
		if !strings.Contains(answer.Body, fmt.Sprintf(`"license_count":%d,`, n)) {
			t.Errorf("PATCH to %d: %s", n, answer.Body)
		}
	case http.StatusNotFound:
	default:
		t.Errorf("PATCH: %d %s", answer.Status, answer.Body)
	}
}

// use reads and writes the app that was added last. It may already be deleted.
func (c *churn) use(t *testing.T, server int) {
	t.Helper()
	app := *c.latest.Load()
	c.get(t, server, app)
	c.patch(t, server, app)
	for what, query := range map[string]string{"list": "", "page": "?page_size=1&sort_by=updated_at", "search": "?q=fleeting"} {
		c.list(t, server, what, query)
	}
	c.send(t, server, "bulk", servertest.Request{
		Method: http.MethodPost, Target: clientPath + "/apps/favorites", Body: fmt.Sprintf(`{"app_ids":[%q]}`, app),
	})
}

func (c *churn) list(t *testing.T, server int, what, query string) {
	t.Helper()
	answer := c.send(t, server, what, servertest.Request{Method: http.MethodGet, Target: clientPath + "/apps" + query})
	var list struct {
		Data  []struct{ ID string }
		Total int     `json:"total_count"`
		Next  *string `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &list); err != nil {
		t.Errorf("%s: %v in %s", what, err, answer.Body)
	}
	if list.Next != nil && len(list.Data) == 0 || list.Next == nil && list.Total != len(list.Data) {
		t.Errorf("%s: %s", what, answer.Body)
	}
}

// TestCatalogChurn removes apps and deletes their catalog apps while others read and write them, through two servers on one
// database. No request may fail with 5xx, and every acknowledged patch must be in the history.
func TestCatalogChurn(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		one, two := servertest.New(t, url), servertest.New(t, url)
		var large store.Dataset // large, so that loading the catalog takes a while
		for n := range 2000 {
			large.CatalogApps = append(large.CatalogApps, store.CatalogApp{ID: uuid.New(), CanonicalName: fmt.Sprintf("Lasting %d", n)})
		}
		if err := one.Store.Seed(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		c := &churn{servers: [2]*servertest.Client{one.Client, two.Client}, statuses: map[string]int{}}
		c.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer c.client.CloseIdleConnections()
		first := appID
		c.latest.Store(&first)
		end := time.Now().Add(3 * time.Second)
		var all sync.WaitGroup
		for n := range 12 {
			all.Go(func() {
				for time.Now().Before(end) && !t.Failed() {
					if n < 4 {
						c.addAndDelete(t, n%2)
					} else {
						c.use(t, n%2)
					}
				}
			})
		}
		all.Wait()
		t.Log(c.statuses)
		recorded := map[string]bool{}
		rows, err := storetest.SQL(t, url).QueryContext(t.Context(), "SELECT request_id FROM app_changes WHERE field = 'license_count'")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var request string
			if err := rows.Scan(&request); err != nil {
				t.Fatal(err)
			}
			recorded[request] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		count := 0
		c.written.Range(func(request, _ any) bool {
			count++
			if !recorded[request.(string)] { //nolint:forcetypeassert // the keys are strings
				t.Errorf("%s is acknowledged and not in the history", request)
			}
			return true
		})
		if count == 0 || c.statuses["DELETE 204"] < 4 {
			t.Errorf("%d patches, %v", count, c.statuses)
		}
	})
}
