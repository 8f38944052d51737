package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// deliver lets a server deliver until the test ends.
func deliver(t *testing.T, s *servertest.Server) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Server.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// awaitWebhook waits until the webhook satisfies the condition.
func awaitWebhook(t *testing.T, s *servertest.Server, hook gen.WebhookWithSecret, condition func(gen.Webhook) bool) gen.Webhook {
	t.Helper()
	var shown gen.Webhook
	eventually(t, func() bool {
		shown = call[gen.Webhook](t, s.Client, http.MethodGet, webhookPath(hook), "", http.StatusOK)
		return condition(shown)
	})
	return shown
}

func delivered(w gen.Webhook) bool { return w.Behind == 0 }

// A change is delivered as the feed has it, signed, and only once.
func TestDeliver(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		for _, patch := range []string{`{"is_favorite":true,"license_count":7}`, `{"is_favorite":false}`, `{"license_count":null}`} {
			s.Patch(t, appPath, patch)
		}
		s.Patch(t, otherPath, `{"is_favorite":true}`) // of another client
		got := r.changes(t, 4)
		awaitWebhook(t, s, hook, delivered)
		feed := call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes", "", http.StatusOK)
		if want := feed.Data[len(feed.Data)-4:]; !equalJSON(t, got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		s.Clock.Advance(time.Second)
		s.Patch(t, appPath, `{"is_approved":true}`)
		d := r.next(t)
		d.verify(t, hook.Secret)
		feed = call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes", "", http.StatusOK)
		change, err := json.Marshal(feed.Data[len(feed.Data)-1])
		want := fmt.Sprintf(`{"type":"app.changed","timestamp":%q,"data":{"client_id":%q,"changes":[%s]}}`, "2026-02-24T15:00:01.000Z", clientID, change)
		if err != nil || d.body != want || d.header.Get("Content-Type") != "application/json" {
			t.Errorf("%v\n%s, want\n%s", d.header, d.body, want)
		}
		if timestamp := d.header.Get("webhook-timestamp"); timestamp != fmt.Sprint(storetest.Now.Unix()+1) {
			t.Errorf("sent at %s", timestamp)
		}
		awaitWebhook(t, s, hook, delivered)
		list := call[gen.WebhookDeliveryList](t, s.Client, http.MethodGet, webhookPath(hook)+"/deliveries", "", http.StatusOK)
		if len(r.came) > 0 || list.TotalCount == 0 || list.Data[0].DeliveryID.String() != d.id || *list.Data[0].Status != http.StatusNoContent {
			t.Errorf("%d more, %+v", len(r.came), list)
		}
	})
}

// A webhook for all clients gets the changes of each client by themselves, also of clients that are made later. One with fields
// gets no others.
func TestDeliverWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		all, some := newReceiver(t), newReceiver(t)
		hooks := []gen.WebhookWithSecret{
			newWebhook(t, s, s.Client, `{"client_id":null,"url":"`+all.URL+`"}`),
			newWebhook(t, s, s.Client, `{"client_id":"`+clientID+`","url":"`+some.URL+`","fields":["is_approved"]}`),
		}
		s.Patch(t, appPath, `{"is_favorite":true,"is_approved":true}`)
		s.Patch(t, otherPath, `{"is_favorite":true}`)
		client := call[gen.ClientOrganization](t, s.Client, http.MethodPost, "/v2/clients", `{"name":"Fabrikam"}`, http.StatusCreated)
		count := map[string]int{}
		for _, change := range all.changes(t, 5) { // a new client has a name
			count[change.ClientID.String()+" "+string(change.Field)]++
		}
		want := map[string]int{
			clientID + " is_favorite": 1, clientID + " is_approved": 1, otherClientID + " is_favorite": 1,
			client.ID.String() + " client": 1, client.ID.String() + " client_name": 1,
		}
		if !reflect.DeepEqual(count, want) {
			t.Errorf("%v, want %v", count, want)
		}
		if got := some.changes(t, 1); got[0].Field != gen.ChangeFieldIsApproved {
			t.Errorf("%+v", got)
		}
		call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hooks[1]), `{"fields":["is_favorite"]}`, http.StatusOK)
		s.Patch(t, appPath, `{"is_favorite":false,"is_approved":false}`)
		for _, hook := range hooks {
			awaitWebhook(t, s, hook, delivered)
		}
		// The first change of this field may come too: it stands behind the first delivery.
		var values []string
		for len(some.came) > 0 {
			for _, change := range some.next(t).changes(t) {
				if values = append(values, string(*change.NewValue)); change.Field != gen.ChangeFieldIsFavorite {
					t.Errorf("%+v", change)
				}
			}
		}
		if len(values) == 0 || values[len(values)-1] != "false" || len(all.came) > 2 {
			t.Errorf("%v, and %d more for the other", values, len(all.came))
		}
	})
}

// A receiver that was down for three hours gets everything, in order, once it is back, and what it had got already with the same id.
func TestReceiverIsDownForHours(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r, other := newReceiver(t), newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		healthy := newWebhook(t, s, s.Client, clientWebhook(other.URL))
		r.answer(http.StatusServiceUnavailable)
		s.Patch(t, appPath, `{"license_count":0}`)
		first := r.next(t)
		attempts, want := []delivery{first}, []string{"0"}
		begun := s.Clock.Now()
		// Each pause, and for how long there is none.
		failed := func(n int) {
			t.Helper()
			awaitWebhook(t, s, hook, func(w gen.Webhook) bool {
				list := call[gen.WebhookDeliveryList](t, s.Client, http.MethodGet, webhookPath(hook)+"/deliveries", "", http.StatusOK)
				return w.Status == "failing" && w.LastError != nil && *w.LastError == "The receiver answered 503" && int(list.TotalCount) == n
			})
		}
		for i, pause := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, time.Hour} {
			failed(i + 1)
			for n := range 3 {
				text := fmt.Sprint(10*i + n + 1)
				s.Patch(t, appPath, `{"license_count":`+text+`}`)
				want = append(want, text)
			}
			if pause < time.Hour {
				s.Clock.Advance(pause - time.Millisecond)
				time.Sleep(50 * time.Millisecond)
				if len(r.came) > 0 {
					t.Fatalf("an attempt before %s", pause)
				}
				s.Clock.Advance(time.Millisecond)
			} else {
				s.Clock.Advance(pause + pause/10)
			}
			attempts = append(attempts, r.next(t))
		}
		failed(len(attempts))
		for i, attempt := range attempts {
			attempt.verify(t, hook.Secret)
			if attempt.id != first.id || attempt.body != first.body || i > 0 && attempt.header.Get("webhook-timestamp") <= attempts[i-1].header.Get("webhook-timestamp") {
				t.Errorf("attempt %d: %+v, the first: %+v", i, attempt, first)
			}
		}
		r.answer(http.StatusOK)
		if s.Clock.Advance(66 * time.Minute); s.Clock.Now().Sub(begun) < 3*time.Hour {
			t.Errorf("it was down for %s", s.Clock.Now().Sub(begun))
		}
		var got []string
		for len(got) < len(want) {
			d := r.next(t)
			d.verify(t, hook.Secret)
			for _, change := range d.changes(t) {
				got = append(got, string(*change.NewValue))
			}
			if len(got) == len(d.changes(t)) && d.id != first.id {
				t.Errorf("the first that arrives is %s, not %s", d.id, first.id)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if shown := awaitWebhook(t, s, hook, delivered); shown.Status != "active" || shown.LastError != nil {
			t.Errorf("%+v", shown)
		}
		awaitWebhook(t, s, healthy, delivered)
		got = nil
		for seen := map[string]bool{}; len(other.came) > 0; {
			d := <-other.came
			if seen[d.id] { // the clock ran while it was under way, and so its lease ended
				continue
			}
			seen[d.id] = true
			for _, change := range d.changes(t) {
				got = append(got, string(*change.NewValue))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the other webhook got %v, want %v", got, want)
		}
	})
}

// After three days without success a webhook is disabled. It keeps its position, and goes on there when it is active again.
func TestReceiverFailsForAWeek(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		r.answer(http.StatusInternalServerError)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		s.Patch(t, appPath, `{"is_favorite":true}`)
		first := r.next(t)
		begun := s.Clock.Now()
		status := func() string {
			return string(call[gen.Webhook](t, s.Client, http.MethodGet, webhookPath(hook), "", http.StatusOK).Status)
		}
		for s.Clock.Now().Sub(begun) < 7*24*time.Hour {
			s.Clock.Advance(66 * time.Minute)
			if status() == "disabled" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		shown := awaitWebhook(t, s, hook, func(w gen.Webhook) bool { return w.Status == "disabled" })
		if after := s.Clock.Now().Sub(begun); after < 72*time.Hour || shown.Behind != 1 || shown.LastError == nil || !strings.Contains(*shown.LastError, "three days") {
			t.Errorf("after %s: %+v", after, shown)
		}
		for len(r.came) > 0 {
			<-r.came
		}
		r.answer(http.StatusOK)
		s.Patch(t, appPath, `{"is_favorite":false}`)
		call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hook), `{"status":"active"}`, http.StatusOK)
		if again := r.next(t); again.id != first.id || again.body != first.body {
			t.Errorf("%+v, want %+v", again, first)
		}
		r.next(t)
		if shown := awaitWebhook(t, s, hook, delivered); shown.Status != "active" || shown.LastError != nil {
			t.Errorf("%+v", shown)
		}
	})
}

// A receiver may say when to come again, and that it wants no more.
func TestReceiverSaysHow(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		failures := func(n int) {
			t.Helper()
			eventually(t, func() bool {
				return call[gen.WebhookDeliveryList](t, s.Client, http.MethodGet, webhookPath(hook)+"/deliveries", "", http.StatusOK).TotalCount == int64(n)
			})
		}
		r.answer(http.StatusTooManyRequests, "Retry-After: 120")
		s.Patch(t, appPath, `{"is_favorite":true}`)
		first := r.next(t)
		failures(1)
		s.Clock.Advance(2*time.Minute - time.Millisecond)
		time.Sleep(50 * time.Millisecond)
		if len(r.came) > 0 {
			t.Error("an attempt before Retry-After")
		}
		r.answer(http.StatusGone)
		s.Clock.Advance(time.Millisecond)
		if again := r.next(t); again.id != first.id {
			t.Errorf("%+v, want %+v", again, first)
		}
		shown := awaitWebhook(t, s, hook, func(w gen.Webhook) bool { return w.Status == "disabled" })
		if shown.LastError == nil || *shown.LastError != "The receiver answered 410: it wants no more" || shown.Behind != 1 {
			t.Errorf("%+v", shown)
		}
		s.Clock.Advance(100 * time.Hour)
		time.Sleep(50 * time.Millisecond)
		if len(r.came) > 0 {
			t.Error("an attempt of a disabled webhook")
		}
	})
}

// PATCH tries a failing webhook at once.
func TestFailingWebhookIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(nowhere))
		s.Patch(t, appPath, `{"is_favorite":true}`)
		shown := awaitWebhook(t, s, hook, func(w gen.Webhook) bool { return w.Status == "failing" })
		if shown.LastError == nil || *shown.LastError != "The connection failed" || shown.Behind != 1 {
			t.Errorf("%+v", shown)
		}
		call[gen.Webhook](t, s.Client, http.MethodPatch, webhookPath(hook), `{"url":"`+r.URL+`","status":"active"}`, http.StatusOK)
		r.next(t)
		awaitWebhook(t, s, hook, func(w gen.Webhook) bool { return w.Status == "active" && w.LastError == nil && w.Behind == 0 })
	})
}

// For a day after a rotation the old secret signs beside the new one.
func TestBothSecretsSign(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		rotated := call[gen.WebhookWithSecret](t, s.Client, http.MethodPost, webhookPath(hook)+"/rotate-secret", "", http.StatusOK)
		s.Log.Forbid(rotated.Secret)
		s.Patch(t, appPath, `{"is_favorite":true}`)
		d := r.next(t)
		d.verify(t, hook.Secret)
		d.verify(t, rotated.Secret)
		awaitWebhook(t, s, hook, delivered)
		s.Clock.Advance(24 * time.Hour)
		s.Patch(t, appPath, `{"is_favorite":false}`)
		d = r.next(t)
		d.verify(t, rotated.Secret)
		if signatures := strings.Fields(d.header.Get("webhook-signature")); len(signatures) != 1 {
			t.Errorf("%v", signatures)
		}
	})
}

// A replay delivers again, with new ids.
func TestReplay(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		deliver(t, s)
		r := newReceiver(t)
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		begin := call[gen.ChangeFeed](t, s.Client, http.MethodGet, clientPath+"/changes?since=2099-01-01T00:00:00Z", "", http.StatusOK)
		s.Patch(t, appPath, `{"license_count":1}`)
		first := r.next(t)
		awaitWebhook(t, s, hook, delivered)
		call[gen.Webhook](t, s.Client, http.MethodPost, webhookPath(hook)+"/replay", `{"cursor":"`+begin.NextCursor+`"}`, http.StatusOK)
		again := r.next(t)
		if again.id == first.id || !equalJSON(t, again.changes(t), first.changes(t)) {
			t.Errorf("%+v, first %+v", again, first)
		}
		awaitWebhook(t, s, hook, delivered)
		// During an attempt: what was under way is not the webhook's any more.
		goOn := r.hang()
		s.Patch(t, appPath, `{"license_count":2}`)
		under := r.next(t)
		call[gen.Webhook](t, s.Client, http.MethodPost, webhookPath(hook)+"/replay", `{"since":"2099-01-01T00:00:00Z"}`, http.StatusOK)
		goOn()
		s.Patch(t, appPath, `{"license_count":3}`)
		if got := r.next(t); got.id == under.id || string(*got.changes(t)[0].NewValue) != "3" {
			t.Errorf("%+v", got)
		}
		awaitWebhook(t, s, hook, delivered)
	})
}

// A server that dies during a delivery leaves its webhook to another one, which sends the same again, and then the rest.
func TestServerDiesDuringDelivery(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := servertest.New(t, url)
		var dyingStore *store.Store
		dying := servertest.New(t, url, func(c *server.Config) {
			c.Clock = s.Clock.Now
			c.Store = storetest.Open(t, url, func(cfg *store.Config) { cfg.Clock = s.Clock.Now })
			dyingStore = c.Store
		})
		deliver(t, dying)
		r := newReceiver(t)
		goOn := r.hang()
		hook := newWebhook(t, s, s.Client, clientWebhook(r.URL))
		s.Patch(t, appPath, `{"license_count":1}`)
		first := r.next(t)
		if err := dyingStore.Close(); err != nil { // it can tell nobody what came of the delivery
			t.Fatal(err)
		}
		goOn()
		s.Patch(t, appPath, `{"license_count":2}`)
		deliver(t, s)
		time.Sleep(50 * time.Millisecond)
		if len(r.came) > 0 {
			t.Error("another server has not waited for the lease")
		}
		s.Clock.Advance(30 * time.Second)
		if again := r.next(t); again.id != first.id || again.body != first.body {
			t.Errorf("%+v, first %+v", again, first)
		}
		if rest := r.changes(t, 1); string(*rest[0].NewValue) != "2" {
			t.Errorf("%+v", rest)
		}
		awaitWebhook(t, s, hook, delivered)
	})
}

// Two servers deliver each change in order, and once but for a delivery that was made again, with the same id, since it could not be recorded.
func TestTwoServersDeliver(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		here, there := servertest.New(t, url), servertest.New(t, url)
		deliver(t, here)
		deliver(t, there)
		r := newReceiver(t)
		hooks := make([]gen.WebhookWithSecret, 4)
		for i := range hooks {
			hooks[i] = newWebhook(t, here, here.Client, clientWebhook(r.URL+"/"+fmt.Sprint(i)))
		}
		const changes = 40
		for i := range changes {
			[]*servertest.Server{here, there}[i%2].Patch(t, appPath, fmt.Sprintf(`{"license_count":%d}`, i+1))
		}
		for _, hook := range hooks {
			awaitWebhook(t, here, hook, delivered)
		}
		got, seen := map[string][]string{}, map[string]bool{}
		for len(r.came) > 0 {
			d := <-r.came
			if seen[d.id] {
				continue
			}
			seen[d.id] = true
			for i := range hooks {
				judge, err := standardwebhooks.NewWebhook(hooks[i].Secret)
				if err != nil {
					t.Fatal(err)
				}
				if judge.VerifyIgnoringTimestamp([]byte(d.body), d.header) == nil {
					for _, change := range d.changes(t) {
						got[hooks[i].URL] = append(got[hooks[i].URL], string(*change.NewValue))
					}
				}
			}
		}
		for _, hook := range hooks {
			if len(got[hook.URL]) != changes || !slices.IsSortedFunc(got[hook.URL], func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) }) {
				t.Errorf("%s got %v", hook.URL, got[hook.URL])
			}
		}
	})
}

// Deliveries of a suspended client go on. A hundred changes are one delivery.
func TestDeliverManyOfASuspendedClient(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		r := newReceiver(t)
		newWebhook(t, s, s.Client, clientWebhook(r.URL))
		for i := range 120 {
			s.Patch(t, appPath, fmt.Sprintf(`{"license_count":%d}`, i+1))
		}
		call[gen.ClientOrganization](t, s.Client, http.MethodPatch, clientPath, `{"status":"suspended"}`, http.StatusOK)
		waitForFeed(t, s)
		deliver(t, s)
		if first, rest := r.next(t).changes(t), r.next(t).changes(t); len(first) != 100 || len(rest) != 21 || rest[20].Field != gen.ChangeFieldClientStatus {
			t.Errorf("%d and %d changes", len(first), len(rest))
		}
	})
}
